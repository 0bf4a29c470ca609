using Grok1Cluster.Kernels.Diagnostics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Model.Layers;

/// <summary>What a device does with experts, measured when a worker starts, so that a plan can give more to the faster.</summary>
/// <param name="ReadBytesPerSecond">Reading memory.</param>
/// <param name="OperationsPerSecond">int8 products of many rows.</param>
public sealed record MachineSpeed(double ReadBytesPerSecond, double OperationsPerSecond)
{
    private const long ProbeBytes = 256 << 20;
    private const int Passes = 3;

    /// <summary>What an expert's product of 32 rows and more reaches of the peak (docs/performance.md).</summary>
    private const double ShareOfPeak = 0.65;

    /// <summary>With fewer bytes of weights the time of reading them is not what matters.</summary>
    public const long LeastWeights = 64 << 20;

    /// <summary>The processor: takes about 50 ms; null where it is not worth it, or the peak is not known.</summary>
    public static MachineSpeed? Measure(ComputePool pool, long weightBytes)
    {
        if (weightBytes < LeastWeights || !Int8Peak.IsSupported)
            return null;
        using var bandwidth = new ReadBandwidth(pool, ProbeBytes);
        var peak = new Int8Peak(pool);
        var (read, operations) = (0.0, 0.0);
        for (var pass = 0; pass < Passes; pass++)
            (read, operations) = (Math.Max(read, bandwidth.Pass()), Math.Max(operations, peak.Pass()));
        return new MachineSpeed(read * 1e9, operations * ShareOfPeak * 1e9);
    }
}
