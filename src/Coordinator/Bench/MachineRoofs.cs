using Grok1Cluster.Kernels.Diagnostics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What the machine can do at most, as it was in a moment.</summary>
/// <param name="ReadBytesPerSecond">The best pass over 1 GiB.</param>
/// <param name="Int8OperationsPerSecond">The best pass in registers; null without VNNI.</param>
public sealed record MachineRoofs(double ReadBytesPerSecond, double? Int8OperationsPerSecond)
{
    private const int PeakPasses = 20;

    /// <summary>Measures with threads of its own, which are gone afterwards as the memory is.</summary>
    /// <param name="threads">Threads to read and compute with.</param>
    public static MachineRoofs Measure(int threads)
    {
        using var pool = new ComputePool(threads, spin: true);
        var peak = Int8Peak.IsSupported ? new Int8Peak(pool) : null;
        return new MachineRoofs(
            ReadBandwidth.Measure(pool) * 1e9,
            peak is null ? null : Enumerable.Range(0, PeakPasses).Max(_ => peak.Pass()) * 1e9);
    }

    /// <summary>The higher of each.</summary>
    public MachineRoofs Or(MachineRoofs other) => new(
        Math.Max(ReadBytesPerSecond, other.ReadBytesPerSecond),
        Int8OperationsPerSecond is { } peak ? Math.Max(peak, other.Int8OperationsPerSecond ?? 0) : null);
}
