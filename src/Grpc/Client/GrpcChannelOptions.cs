using System.ComponentModel.DataAnnotations;
using System.Net.Security;

namespace Grok1Cluster.Grpc.Client;

/// <summary>How a client connects and what it accepts.</summary>
public sealed record GrpcChannelOptions
{
    /// <summary>Longest message accepted from a server; a longer one ends its call with RESOURCE_EXHAUSTED before it is buffered. Default 4 MiB.</summary>
    [Range(1, int.MaxValue)]
    public int MaxReceiveMessageBytes { get; init; } = 4 << 20;

    /// <summary>Longest message that may be sent. Default: no limit.</summary>
    [Range(1, int.MaxValue)]
    public int MaxSendMessageBytes { get; init; } = int.MaxValue;

    /// <summary>Bytes that the server may send on one stream ahead of its reader. Default 8 MiB.</summary>
    [Range(65_535, 1 << 24)]
    public int StreamWindowBytes { get; init; } = 8 << 20;

    /// <summary>How long a connection may take to come up; then its calls end with UNAVAILABLE. Default 5 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Silence on a connection with open calls after which the server is asked whether it lives. Default: never, because other
    /// people's servers hang up on clients that ask more often than they allow; for our own servers a few seconds are right.
    /// </summary>
    public TimeSpan KeepAlivePingDelay { get; init; } = Timeout.InfiniteTimeSpan;

    /// <summary>How long the answer to such a question may take; then the connection's calls end with UNAVAILABLE. Default 10 s.</summary>
    public TimeSpan KeepAlivePingTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Which implementation of HTTP/2 calls. Default: our own.</summary>
    public GrpcTransport Transport { get; init; }

    /// <summary>
    /// How long the thread of the connection asks for the next bytes before it sleeps until they come: a few microseconds less wait
    /// for a core that is kept busy. At most 50 µs; default 0. The stock transport ignores it.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:00.0000500")]
    public TimeSpan ReceiveSpin { get; init; }

    /// <summary>
    /// Gives the rules of TLS, and is asked for every connection (by the stock transport once); null (the default) speaks HTTP/2 in clear
    /// with prior knowledge.
    /// </summary>
    public Func<SslClientAuthenticationOptions>? Tls { get; init; }

    /// <summary>The clock of the deadlines. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
