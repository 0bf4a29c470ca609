using Grok1Cluster.Kernels.Diagnostics;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>What a device does with experts, measured when a worker starts, so that a plan can give more to the faster.</summary>
/// <param name="ReadBytesPerSecond">Reading memory.</param>
/// <param name="OperationsPerSecond">int8 products of many rows.</param>
public sealed record MachineSpeed(double ReadBytesPerSecond, double OperationsPerSecond)
{
    private const long ProbeBytes = 256 << 20;
    private const int Passes = 3;

    /// <summary>A pass that is not faster by so much than the best before it is the last: what disturbed them is over.</summary>
    private const double Better = 1.05;

    /// <summary>What an expert's product of 32 rows and more reaches of the peak (docs/performance.md).</summary>
    private const double ShareOfPeak = 0.65;

    /// <summary>Smaller ones would be measured with their edges.</summary>
    private const long LeastTile = 8 << 20;

    /// <summary>With fewer bytes of weights the time of reading them is not what matters.</summary>
    public const long LeastWeights = 64 << 20;

    /// <summary>The processor: takes about 50 ms; null where it is not worth it, or the peak is not known.</summary>
    /// <param name="pool">The threads that compute.</param>
    /// <param name="weightBytes">Of weights that it is to compute with.</param>
    /// <param name="loaded">
    /// Weights that are in memory: where they are enough, they are what is read. Memory for this alone costs several times as much
    /// as reading it, at a moment when others of the machine stand in for the one that starts.
    /// </param>
    public static MachineSpeed? Measure(ComputePool pool, long weightBytes, IReadOnlyList<ExpertTile> loaded)
    {
        if (weightBytes < LeastWeights || !Int8Peak.IsSupported)
            return null;
        using var bandwidth = loaded.Sum(tile => tile.Bytes) >= LeastWeights && loaded.All(tile => tile.Bytes >= LeastTile)
            ? new ReadBandwidth(pool, loaded.Select(tile => (tile.Address, tile.Bytes)), ProbeBytes)
            : new ReadBandwidth(pool, ProbeBytes);
        return new MachineSpeed(Best(bandwidth.Pass) * 1e9, Best(new Int8Peak(pool).Pass) * ShareOfPeak * 1e9);
    }

    private static double Best(Func<double> pass)
    {
        var best = pass();
        for (var more = 1; more < Passes; more++)
        {
            var next = pass();
            if (next <= best * Better)
                return Math.Max(best, next);
            best = next;
        }
        return best;
    }
}
