using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grok1Cluster.Grpc.Server;

/// <summary>What holds for every call that a server takes.</summary>
public sealed record ServerCallOptions
{
    /// <summary>4 MiB, gRPC's usual limit for a received message.</summary>
    public const int DefaultMaxReceiveMessageBytes = 4 << 20;

    /// <summary>Longest message accepted from a client; a longer one ends its call with RESOURCE_EXHAUSTED before it is buffered. Default 4 MiB.</summary>
    [Range(1, int.MaxValue)]
    public int MaxReceiveMessageBytes { get; init; } = DefaultMaxReceiveMessageBytes;

    /// <summary>Longest message that a handler may send. Default: no limit.</summary>
    [Range(1, int.MaxValue)]
    public int MaxSendMessageBytes { get; init; } = int.MaxValue;

    /// <summary>
    /// Says whether who shows this certificate (null: none) may call the method of this path; a status other than OK ends the call before
    /// its handler is told. Asked once for a call, however many messages it has. Default: everybody may call everything.
    /// </summary>
    public Func<string, X509Certificate2?, GrpcStatus>? Authorize { get; init; }

    /// <summary>The clock of the deadlines. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where faults of handlers are logged. Default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;
}
