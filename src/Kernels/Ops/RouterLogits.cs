using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Logits of the MoE router (xAI's <c>Router</c>), float32: <c>y[e] = sum_k x[k] W[k, e]</c>. Four running sums take
/// k = i, i + 4, ... ascending by fused multiply-adds and are added as (0 + 1) + (2 + 3), for any number of experts.
/// </summary>
public static unsafe class RouterLogits
{
    private const int Sums = 4;

    /// <param name="x">[k] float32.</param>
    /// <param name="weights">Row-major [k, experts] float32.</param>
    /// <param name="y">[experts], overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Compute(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, Span<float> y)
    {
        Shapes.Same(weights.Length, x.Length * y.Length);
        fixed (float* w = weights)
        {
            var e = 0;
            for (; e + 8 <= y.Length; e += 8)
                Eight(x, w + e, y.Length).CopyTo(y[e..]);
            for (; e < y.Length; e++)
                y[e] = One(x, w + e, y.Length);
        }
    }

    /// <summary>The scalar twin: the same bits.</summary>
    public static void ComputeScalar(ReadOnlySpan<float> x, ReadOnlySpan<float> weights, Span<float> y)
    {
        Shapes.Same(weights.Length, x.Length * y.Length);
        fixed (float* w = weights)
            for (var e = 0; e < y.Length; e++)
                y[e] = One(x, w + e, y.Length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Eight(ReadOnlySpan<float> x, float* w, int stride)
    {
        var s0 = Vector256<float>.Zero;
        var s1 = s0;
        var s2 = s0;
        var s3 = s0;
        var k = 0;
        for (; k + Sums <= x.Length; k += Sums, w += Sums * stride)
        {
            s0 = Vector256.FusedMultiplyAdd(Vector256.Create(x[k]), Vector256.Load(w), s0);
            s1 = Vector256.FusedMultiplyAdd(Vector256.Create(x[k + 1]), Vector256.Load(w + stride), s1);
            s2 = Vector256.FusedMultiplyAdd(Vector256.Create(x[k + 2]), Vector256.Load(w + 2 * stride), s2);
            s3 = Vector256.FusedMultiplyAdd(Vector256.Create(x[k + 3]), Vector256.Load(w + 3 * stride), s3);
        }
        for (; k < x.Length; k++, w += stride)
            s0 = Vector256.FusedMultiplyAdd(Vector256.Create(x[k]), Vector256.Load(w), s0);
        return s0 + s1 + (s2 + s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float One(ReadOnlySpan<float> x, float* w, int stride)
    {
        var sums = stackalloc float[Sums];
        var whole = x.Length / Sums * Sums;
        for (var k = 0; k < x.Length; k++)
        {
            ref var sum = ref sums[k < whole ? k % Sums : 0];
            sum = MathF.FusedMultiplyAdd(x[k], w[(long)k * stride], sum);
        }
        return sums[0] + sums[1] + (sums[2] + sums[3]);
    }
}
