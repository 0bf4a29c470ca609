using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.KvCache;

/// <summary>
/// The one product attention is made of: for each query, <c>sums[0..31] += weights[s] * row s</c> over the rows of a
/// panel, in ascending order, one multiply-add each. Several queries share each row that is read; a query's result does
/// not depend on them.
/// </summary>
internal static unsafe partial class KvPanel
{
    /// <summary>Elements of a row.</summary>
    public const int Width = 32;

    /// <summary>Elements apart that the two vectors of a step lie: the halves of a row.</summary>
    private const int Half = Width / 2;

    /// <summary>Adds a panel's product to the sums of every query.</summary>
    /// <param name="format">Element type of the panel.</param>
    /// <param name="panel">[rows, 32] as <see cref="KvBlockLayout"/> stores rows.</param>
    /// <param name="next">The panel that will be read after this one, prefetched meanwhile: panels lie apart, so hardware does not foresee it.</param>
    /// <param name="rows">Rows to add.</param>
    /// <param name="queries">Queries, at least 1.</param>
    /// <param name="weights">Weights of the first query, [rows].</param>
    /// <param name="weightStride">Elements from one query's weights to the next's.</param>
    /// <param name="sums">Sums of the first query, [32].</param>
    /// <param name="sumStride">Elements from one query's sums to the next's.</param>
    public static void MultiplyAdd(KvFormat format, byte* panel, byte* next, int rows, int queries, float* weights, nint weightStride, float* sums, nint sumStride)
    {
        if (Vector512.IsHardwareAccelerated)
            MultiplyAddWide(format, panel, next, rows, queries, weights, weightStride, sums, sumStride);
        else
            MultiplyAddNarrow(format, panel, next, rows, queries, weights, weightStride, sums, sumStride);
    }

    private static void MultiplyAddWide(KvFormat format, byte* panel, byte* next, int rows, int queries, float* weights, nint weightStride, float* sums, nint sumStride)
    {
        switch (format)
        {
            case KvFormat.Int8:
                MultiplyAdd<WideLanes, Vector512<float>, Int8Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
            case KvFormat.Bf16:
                MultiplyAdd<WideLanes, Vector512<float>, Bf16Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
            default:
                MultiplyAdd<WideLanes, Vector512<float>, Float32Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
        }
    }

    /// <summary>What processors without 512 bits run; the same bits.</summary>
    internal static void MultiplyAddNarrow(KvFormat format, byte* panel, byte* next, int rows, int queries, float* weights, nint weightStride, float* sums, nint sumStride)
    {
        switch (format)
        {
            case KvFormat.Int8:
                MultiplyAdd<NarrowLanes, Vector<float>, Int8Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
            case KvFormat.Bf16:
                MultiplyAdd<NarrowLanes, Vector<float>, Bf16Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
            default:
                MultiplyAdd<NarrowLanes, Vector<float>, Float32Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
                break;
        }
    }

    // Six queries (a KV head's group in Grok-1) fill the registers: twelve sums, one row's two halves, one weight.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyAdd<TLanes, TVector, TRow>(byte* panel, byte* next, int rows, int queries, float* weights, nint weightStride, float* sums, nint sumStride)
        where TLanes : ILanes<TVector>
        where TVector : struct
        where TRow : IRow<TVector>
    {
        while (queries > 0)
        {
            int taken;
            switch (queries)
            {
                case >= 6:
                    MultiplyAdd<TLanes, TVector, TRow, Six>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 6;
                    break;
                case >= 4:
                    MultiplyAdd<TLanes, TVector, TRow, Four>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 4;
                    break;
                case >= 2:
                    MultiplyAdd<TLanes, TVector, TRow, Two>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 2;
                    break;
                default:
                    MultiplyAdd<TLanes, TVector, TRow, One>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 1;
                    break;
            }
            queries -= taken;
            weights += taken * weightStride;
            sums += taken * sumStride;
        }
    }

    // TCount.Value is a constant to the JIT, which drops the branches not taken.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyAdd<TLanes, TVector, TRow, TCount>(byte* panel, byte* next, int rows, float* weights, nint weightStride, float* sums, nint sumStride)
        where TLanes : ILanes<TVector>
        where TVector : struct
        where TRow : IRow<TVector>
        where TCount : ICount
    {
        float* w1 = weights + weightStride, w2 = w1 + weightStride, w3 = w2 + weightStride, w4 = w3 + weightStride, w5 = w4 + weightStride;
        for (int lane = 0; lane < Half; lane += TLanes.Count)
        {
            float* target = sums + lane;
            Load<TLanes, TVector>(target, out var low0, out var high0);
            TVector low1 = default, high1 = default, low2 = default, high2 = default, low3 = default, high3 = default;
            TVector low4 = default, high4 = default, low5 = default, high5 = default;
            if (TCount.Value > 1)
                Load<TLanes, TVector>(target + sumStride, out low1, out high1);
            if (TCount.Value > 2)
            {
                Load<TLanes, TVector>(target + 2 * sumStride, out low2, out high2);
                Load<TLanes, TVector>(target + 3 * sumStride, out low3, out high3);
            }
            if (TCount.Value > 4)
            {
                Load<TLanes, TVector>(target + 4 * sumStride, out low4, out high4);
                Load<TLanes, TVector>(target + 5 * sumStride, out low5, out high5);
            }

            byte* row = panel;
            for (nint s = 0; s < rows; s++, row += TRow.Bytes)
            {
                TRow.Prefetch(next + s * TRow.Bytes, lane);
                TRow.Load(row, lane, out var low, out var high);
                Add<TLanes, TVector>(weights + s, low, high, ref low0, ref high0);
                if (TCount.Value > 1)
                    Add<TLanes, TVector>(w1 + s, low, high, ref low1, ref high1);
                if (TCount.Value > 2)
                {
                    Add<TLanes, TVector>(w2 + s, low, high, ref low2, ref high2);
                    Add<TLanes, TVector>(w3 + s, low, high, ref low3, ref high3);
                }
                if (TCount.Value > 4)
                {
                    Add<TLanes, TVector>(w4 + s, low, high, ref low4, ref high4);
                    Add<TLanes, TVector>(w5 + s, low, high, ref low5, ref high5);
                }
            }

            Store<TLanes, TVector>(low0, high0, target);
            if (TCount.Value > 1)
                Store<TLanes, TVector>(low1, high1, target + sumStride);
            if (TCount.Value > 2)
            {
                Store<TLanes, TVector>(low2, high2, target + 2 * sumStride);
                Store<TLanes, TVector>(low3, high3, target + 3 * sumStride);
            }
            if (TCount.Value > 4)
            {
                Store<TLanes, TVector>(low4, high4, target + 4 * sumStride);
                Store<TLanes, TVector>(low5, high5, target + 5 * sumStride);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TLanes, TVector>(float* weight, TVector low, TVector high, ref TVector lowSum, ref TVector highSum)
        where TLanes : ILanes<TVector>
    {
        var w = TLanes.Create(*weight);
        lowSum = TLanes.MultiplyAdd(w, low, lowSum);
        highSum = TLanes.MultiplyAdd(w, high, highSum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<TLanes, TVector>(float* source, out TVector low, out TVector high)
        where TLanes : ILanes<TVector> =>
        (low, high) = (TLanes.Load(source), TLanes.Load(source + Half));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TLanes, TVector>(TVector low, TVector high, float* target)
        where TLanes : ILanes<TVector>
    {
        TLanes.Store(low, target);
        TLanes.Store(high, target + Half);
    }

    private interface ICount
    {
        static abstract int Value { get; }
    }

    private readonly struct One : ICount { public static int Value => 1; }

    private readonly struct Two : ICount { public static int Value => 2; }

    private readonly struct Four : ICount { public static int Value => 4; }

    private readonly struct Six : ICount { public static int Value => 6; }
}
