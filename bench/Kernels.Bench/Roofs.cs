using System.Diagnostics;
using Grok1Cluster.Kernels.Diagnostics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Bench;

/// <summary>Runs a kernel and the two probes in turns and prints the best of each.</summary>
internal static class Roofs
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(2);
    private const int LeastTurns = 5;

    /// <summary>Against int8 arithmetic.</summary>
    /// <param name="pool">Shared by kernel and probes.</param>
    /// <param name="name">What is measured.</param>
    /// <param name="bytes">Bytes of weights that a run reads.</param>
    /// <param name="operations">int8 operations of a run.</param>
    /// <param name="run">The kernel.</param>
    public static void Compare(ComputePool pool, string name, long bytes, long operations, Action run) =>
        Compare(pool, name, bytes, operations, run, Int8Peak.IsSupported ? new Int8Peak(pool).Pass : null);

    /// <summary>Against float32 arithmetic.</summary>
    /// <inheritdoc cref="Compare(ComputePool, string, long, long, Action)"/>
    public static void CompareFloat(ComputePool pool, string name, long bytes, long operations, Action run) =>
        Compare(pool, name, bytes, operations, run, new FloatPeak(pool).Pass);

    private static void Compare(ComputePool pool, string name, long bytes, long operations, Action run, Func<double>? peak)
    {
        using var bandwidth = new ReadBandwidth(pool, 256 << 20);
        double readable = 0, computable = 0, seconds = double.MaxValue;
        run();
        var start = Stopwatch.GetTimestamp();
        for (var turn = 0; turn < LeastTurns || Stopwatch.GetElapsedTime(start) < Budget; turn++)
        {
            readable = Math.Max(readable, bandwidth.Pass());
            computable = Math.Max(computable, peak?.Invoke() ?? 0);
            var before = Stopwatch.GetTimestamp();
            run();
            seconds = Math.Min(seconds, Stopwatch.GetElapsedTime(before).TotalSeconds);
        }
        var (gigabytes, gigaoperations) = (bytes / seconds / 1e9, operations / seconds / 1e9);
        Console.WriteLine($"{name,-34} {seconds * 1e3,8:F2} ms  {gigabytes,6:F1} GB/s of {readable,5:F1} = {gigabytes / readable,4:P0}  {gigaoperations,6:F0} Gop/s of {computable,6:F0} = {gigaoperations / computable,4:P0}");
    }
}
