namespace Grok1Cluster.Cluster.Costs;

/// <summary>How fast a machine is, as measured or assumed. Two processes on one machine each have their part of it: see <see cref="Shared"/>.</summary>
public sealed record MachineCosts
{
    /// <summary>Bytes a second that all its cores together read from memory. Default 100 GB/s: a server with 8 memory channels, or half of one with 12.</summary>
    public double ReadBytesPerSecond { get; init => field = Positive(value); } = 100e9;

    /// <summary>Operations a second in products of many rows, which bound prefill. Default 5e12: 16 cores with 256-bit VNNI, at 0.3e12 each (docs/performance.md).</summary>
    public double OpsPerSecond { get; init => field = Positive(value); } = 5e12;

    /// <summary>Bytes a second of its network link, each way. Default 10 Gbit/s.</summary>
    public double LinkBytesPerSecond { get; init => field = Positive(value); } = 1.25e9;

    /// <summary>Seconds from sending an empty call to its reply, programs on both ends included. Default 100 us. Of a coordinator it means nothing.</summary>
    public double RoundTripSeconds { get; init => field = Positive(value); } = 100e-6;

    /// <summary>Bytes that it may hold of experts; null when there is no limit to respect.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>One of <paramref name="processes"/> equal parts of the machine: memory bandwidth and cores are divided, the loopback link is not.</summary>
    public MachineCosts Shared(int processes) => this with
    {
        ReadBytesPerSecond = ReadBytesPerSecond / processes,
        OpsPerSecond = OpsPerSecond / processes,
        MemoryBytes = MemoryBytes / processes,
    };

    private static double Positive(double value) =>
        value > 0 && double.IsFinite(value) ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "a rate or a time has to be positive");
}
