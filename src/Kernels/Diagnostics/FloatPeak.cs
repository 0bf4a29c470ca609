using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Diagnostics;

/// <summary>
/// The most float32 operations (a multiplication and an addition are two) that the threads of a pool do together by fused
/// multiply-adds in the widest vectors, everything in registers: the roof over attention.
/// </summary>
public sealed class FloatPeak : IComputeJob
{
    private const int Chains = 12;
    private const int Rounds = 50_000;
    private readonly ComputePool _pool;
    private readonly float[] _results;

    /// <param name="pool">The threads that compute.</param>
    public FloatPeak(ComputePool pool)
    {
        _pool = pool;
        _results = new float[pool.Threads * 4];
    }

    private static int Lanes => Vector512.IsHardwareAccelerated ? Vector512<float>.Count : Vector256<float>.Count;

    /// <summary>Runs for a few hundred microseconds a thread.</summary>
    /// <returns>10^9 operations a second.</returns>
    public double Pass()
    {
        var start = Stopwatch.GetTimestamp();
        _pool.Run(this, _results.Length);
        return (double)_results.Length * Rounds * Chains * Lanes * 2 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    void IComputeJob.Execute(int part) => _results[part] = Vector512.IsHardwareAccelerated
        ? Chain(Vector512.Create(1f + part), Vector512.Create(1e-9f))
        : Chain(Vector256.Create(1f + part), Vector256.Create(1e-9f));

    /// <summary>Twelve chains that do not wait for each other, more than latency times rate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chain(Vector512<float> x, Vector512<float> y)
    {
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (var round = 0; round < Rounds; round++)
        {
            a = Vector512.FusedMultiplyAdd(x, y, a);
            b = Vector512.FusedMultiplyAdd(x, y, b);
            c = Vector512.FusedMultiplyAdd(x, y, c);
            d = Vector512.FusedMultiplyAdd(x, y, d);
            e = Vector512.FusedMultiplyAdd(x, y, e);
            f = Vector512.FusedMultiplyAdd(x, y, f);
            g = Vector512.FusedMultiplyAdd(x, y, g);
            h = Vector512.FusedMultiplyAdd(x, y, h);
            i = Vector512.FusedMultiplyAdd(x, y, i);
            j = Vector512.FusedMultiplyAdd(x, y, j);
            k = Vector512.FusedMultiplyAdd(x, y, k);
            l = Vector512.FusedMultiplyAdd(x, y, l);
        }
        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Chain(Vector256<float> x, Vector256<float> y)
    {
        Vector256<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (var round = 0; round < Rounds; round++)
        {
            a = Vector256.FusedMultiplyAdd(x, y, a);
            b = Vector256.FusedMultiplyAdd(x, y, b);
            c = Vector256.FusedMultiplyAdd(x, y, c);
            d = Vector256.FusedMultiplyAdd(x, y, d);
            e = Vector256.FusedMultiplyAdd(x, y, e);
            f = Vector256.FusedMultiplyAdd(x, y, f);
            g = Vector256.FusedMultiplyAdd(x, y, g);
            h = Vector256.FusedMultiplyAdd(x, y, h);
            i = Vector256.FusedMultiplyAdd(x, y, i);
            j = Vector256.FusedMultiplyAdd(x, y, j);
            k = Vector256.FusedMultiplyAdd(x, y, k);
            l = Vector256.FusedMultiplyAdd(x, y, l);
        }
        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
