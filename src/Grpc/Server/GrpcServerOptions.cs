using System.ComponentModel.DataAnnotations;
using System.Net.Security;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Where and how a server listens.</summary>
public sealed record GrpcServerOptions
{
    /// <summary>Largest HTTP/2 frame that the protocol can announce, in bytes.</summary>
    internal const int LargestFrameBytes = (1 << 24) - 1;

    /// <summary>
    /// Addresses as <see cref="GrpcAddress.Parse"/> reads them. The host of a TCP address must be an IP address, <c>localhost</c>
    /// (IPv4 loopback) or <c>*</c> (every address); port 0 takes a free one.
    /// </summary>
    [Required, MinLength(1)]
    public required IReadOnlyList<string> Listen { get; init; }

    /// <summary>The certificate and rules of TLS for the TCP addresses; null (the default) speaks HTTP/2 in clear with prior knowledge. Unix sockets are always in clear.</summary>
    public SslServerAuthenticationOptions? Tls { get; init; }

    /// <summary>What holds for every call.</summary>
    public ServerCallOptions Calls { get; init; } = new();

    /// <summary>Bytes that a client may send on one stream ahead of its reader. Default 8 MiB.</summary>
    [Range(65_535, int.MaxValue)]
    public int StreamWindowBytes { get; init; } = 8 << 20;

    /// <summary>Bytes that a client may send on all streams of a connection ahead of their readers. Default 32 MiB.</summary>
    [Range(65_535, int.MaxValue)]
    public int ConnectionWindowBytes { get; init; } = 32 << 20;

    /// <summary>Largest DATA frame accepted. Default 1 MiB.</summary>
    [Range(16_384, LargestFrameBytes)]
    public int MaxFrameBytes { get; init; } = 1 << 20;

    /// <summary>Streams that one connection may have open. Default 1000.</summary>
    [Range(1, int.MaxValue)]
    public int MaxStreamsPerConnection { get; init; } = 1000;
}
