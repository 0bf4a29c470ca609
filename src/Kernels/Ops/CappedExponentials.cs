using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// From q.k of a KV block's 32 positions to the weights of their values: <c>exp(cap * tanh(factor * q.k))</c>. The soft cap
/// bounds the exponent, so softmax needs no maximum, and parts of a context add up as they are.
/// </summary>
internal static unsafe class CappedExponentials
{
    private const int Width = KvBlockLayout.Tokens;

    private static readonly int[] Positions = [.. Enumerable.Range(0, Width)];

    /// <param name="scores">[32] q.k, replaced by the weights; elements from <paramref name="count"/> on are undefined before and after.</param>
    /// <param name="count">Positions that the query sees, 1 to 32.</param>
    /// <param name="factor">Multiplier / cap.</param>
    /// <param name="cap">The soft cap, at most <see cref="AttentionShape.MaxSoftCap"/>.</param>
    /// <param name="keyScales">[32] scales of the keys, or null.</param>
    /// <param name="valueScales">[32] scales of the values, which the weights take in, or null.</param>
    /// <param name="lanes">[32] sums of the exponentials by position mod 32, added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(float* scores, int count, float factor, float cap, float* keyScales, float* valueScales, float* lanes)
    {
        if (Vector512.IsHardwareAccelerated)
            ApplyWide(scores, count, factor, cap, keyScales, valueScales, lanes);
        else
            ApplyNarrow(scores, count, factor, cap, keyScales, valueScales, lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void ApplyNarrow(float* scores, int count, float factor, float cap, float* keyScales, float* valueScales, float* lanes)
    {
        ref int positions = ref Positions[0];
        for (int i = 0; i < Width; i += Vector<float>.Count)
        {
            var x = Vector.Load(scores + i);
            if (keyScales is not null)
                x *= Vector.Load(keyScales + i);
            var p = FastMath.Exp(cap * FastMath.Tanh(x * factor));
            var seen = Vector.LessThan(Vector.LoadUnsafe(ref positions, (nuint)i), new Vector<int>(count));
            p = Vector.ConditionalSelect(seen, p, Vector<float>.Zero);
            (Vector.Load(lanes + i) + p).Store(lanes + i);
            if (valueScales is not null)
                p *= Vector.Load(valueScales + i);
            p.Store(scores + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ApplyWide(float* scores, int count, float factor, float cap, float* keyScales, float* valueScales, float* lanes)
    {
        for (int i = 0; i < Width; i += Vector512<float>.Count)
        {
            var x = Vector512.Load(scores + i);
            if (keyScales is not null)
                x *= Vector512.Load(keyScales + i);
            var p = FastMath.Exp(Vector512.Create(cap) * FastMath.Tanh(x * Vector512.Create(factor)));
            var seen = Vector512.LessThan(Vector512.CreateSequence(i, 1), Vector512.Create(count)).AsSingle();
            p = Vector512.ConditionalSelect(seen, p, Vector512<float>.Zero);
            (Vector512.Load(lanes + i) + p).Store(lanes + i);
            if (valueScales is not null)
                p *= Vector512.Load(valueScales + i);
            p.Store(scores + i);
        }
    }

    /// <summary>Scalar twin of <see cref="Apply"/> for one position: its exponential, before it takes in the scale of the value.</summary>
    public static float Scalar(float score, float factor, float cap) => FastMath.Exp(cap * FastMath.Tanh(score * factor));
}
