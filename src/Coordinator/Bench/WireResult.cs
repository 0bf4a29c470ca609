namespace Grok1Cluster.Coordinator.Bench;

/// <summary>Round trips of gRPC messages on this machine: sent to every peer, and all of it back from each, one round in flight.</summary>
/// <param name="Transport"><c>tcp</c>, <c>unix</c> or <c>mtls</c> (over TCP), on the HTTP/2 that the activation streams use; with <c>stock </c> before it on the platform's.</param>
/// <param name="Bytes">Of each message, either way.</param>
/// <param name="FanOut">Peers.</param>
/// <param name="P50Us">Median of a round.</param>
/// <param name="P99Us">99th percentile.</param>
/// <param name="P999Us">99.9th percentile.</param>
/// <param name="RawP50Us">The median of bare sockets in the same run, the same bytes and one peer; null for several peers.</param>
/// <param name="RawP99Us">Their 99th percentile.</param>
/// <param name="CpuUs">Processor time of a round, both ends together.</param>
public sealed record WireResult(
    string Transport, int Bytes, int FanOut, double P50Us, double P99Us, double P999Us, double? RawP50Us, double? RawP99Us, double CpuUs)
{
    /// <summary>10^9 bytes a second each way at the median.</summary>
    public double GbSEachWay => 2.0 * Bytes * FanOut / P50Us / 1e3;
}
