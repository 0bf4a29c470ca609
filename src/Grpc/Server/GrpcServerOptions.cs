using System.ComponentModel.DataAnnotations;
using System.Net.Security;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Where and how a server listens.</summary>
public sealed record GrpcServerOptions
{
    /// <summary>Largest HTTP/2 frame that the protocol can announce, in bytes.</summary>
    internal const int LargestFrameBytes = (1 << 24) - 1;

    /// <summary>What our own peers accept unless told otherwise, in bytes.</summary>
    internal const int DefaultFrameBytes = 1 << 20;

    /// <summary>
    /// Addresses as <see cref="GrpcAddress.Parse"/> reads them. The host of a TCP address must be an IP address, <c>localhost</c>
    /// (IPv4 loopback) or <c>*</c> (every address); port 0 takes a free one.
    /// </summary>
    [Required, MinLength(1)]
    public required IReadOnlyList<string> Listen { get; init; }

    /// <summary>
    /// Gives the certificate and rules of TLS for the TCP addresses, and is asked for every connection, so that certificates can be
    /// exchanged while the server runs; null (the default) speaks HTTP/2 in clear with prior knowledge. Unix sockets are always in clear.
    /// </summary>
    public Func<SslServerAuthenticationOptions>? Tls { get; init; }

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
    public int MaxFrameBytes { get; init; } = DefaultFrameBytes;

    /// <summary>Streams that one connection may have open. Default 1000.</summary>
    [Range(1, int.MaxValue)]
    public int MaxStreamsPerConnection { get; init; } = 1000;

    /// <summary>Which implementation of HTTP/2 serves. Default: our own.</summary>
    public GrpcTransport Transport { get; init; }

    /// <summary>
    /// Connections that may be open on all addresses; each has a thread. More are closed at once. Those that have not begun are
    /// counted apart, by <see cref="MaxBeginningConnections"/>. Default 256. The stock transport has no limit.
    /// </summary>
    [Range(1, 65_536)]
    public int MaxConnections { get; init; } = 256;

    /// <summary>
    /// Connections that may be at their TLS handshake, or have not yet said that they speak HTTP/2. One more takes the place of
    /// another, first of one that has sent nothing, and of the address that has most of them: a flood of strangers keeps out neither
    /// who is open nor, for long, who comes. Default 128. The stock transport has no limit.
    /// </summary>
    [Range(1, 65_536)]
    public int MaxBeginningConnections { get; init; } = 128;

    /// <summary>
    /// How long the thread of a connection asks for the next bytes before it sleeps until they come: a few microseconds less wait
    /// for a core that is kept busy. At most 50 µs; default 0. The stock transport ignores it.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:00.0000500")]
    public TimeSpan ReceiveSpin { get; init; }

    /// <summary>Silence on a connection after which the client is asked whether it lives. Default 30 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan KeepAlivePingDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long its answer may take; then the connection is closed. Default 20 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan KeepAlivePingTimeout { get; init; } = TimeSpan.FromSeconds(20);
}
