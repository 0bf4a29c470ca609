namespace Grok1Cluster.Grpc.Http2;

/// <summary>What a connection allows its peer, and how it watches it.</summary>
internal sealed record Http2Limits
{
    /// <summary>Bytes that the peer may send on one stream ahead of its reader.</summary>
    public required int StreamWindow { get; init; }

    /// <summary>Bytes that the peer may send on all streams ahead of their readers.</summary>
    public required int ConnectionWindow { get; init; }

    /// <summary>Largest frame accepted.</summary>
    public required int MaxFrame { get; init; }

    /// <summary>Streams that the peer may have open.</summary>
    public required int MaxStreams { get; init; }

    /// <summary>Silence after which the peer is asked whether it lives; infinite asks never.</summary>
    public required TimeSpan PingDelay { get; init; }

    /// <summary>How long it may take to answer.</summary>
    public required TimeSpan PingTimeout { get; init; }

    /// <summary>Whether it is asked only while streams are open.</summary>
    public required bool PingOnlyWithStreams { get; init; }
}
