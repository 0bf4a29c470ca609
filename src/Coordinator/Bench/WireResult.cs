namespace Grok1Cluster.Coordinator.Bench;

/// <summary>Round trips of gRPC messages on this machine: sent to every peer, and all of it back from each, one round in flight.</summary>
/// <param name="Transport"><c>tcp</c>, <c>unix</c> or <c>mtls</c> (over TCP), on the HTTP/2 that the activation streams use; with <c>stock </c> before it on the platform's.</param>
/// <param name="Bytes">Of each message, either way.</param>
/// <param name="FanOut">Peers.</param>
/// <param name="P50Us">Median of a round.</param>
/// <param name="P99Us">99th percentile.</param>
/// <param name="P999Us">99.9th percentile.</param>
/// <param name="CpuUs">Processor time of a round, all ends together.</param>
public sealed record WireResult(string Transport, int Bytes, int FanOut, double P50Us, double P99Us, double P999Us, double CpuUs)
{
    /// <summary>Of <see cref="CpuUs"/>, what is not the far ends': the caller's and that of the threads that read for it. Null where the system does not tell (other than Linux) or threads serve both ends.</summary>
    public double? NearCpuUs { get; init; }

    /// <summary>The median of bare sockets in the same run: the same bytes, peers and threads.</summary>
    public double? RawP50Us { get; init; }

    /// <summary>Their 99th percentile.</summary>
    public double? RawP99Us { get; init; }

    /// <summary>Their 99.9th percentile.</summary>
    public double? RawP999Us { get; init; }

    /// <summary>Their processor time of a round, all ends together.</summary>
    public double? RawCpuUs { get; init; }

    /// <summary>Of it, what is not the far ends'.</summary>
    public double? RawNearCpuUs { get; init; }

    /// <summary>10^9 bytes a second each way at the median.</summary>
    public double GbSEachWay => 2.0 * Bytes * FanOut / P50Us / 1e3;
}
