using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.KvCache;

/// <summary>
/// The one product attention is made of: for each query, <c>sums[0..31] += weights[s] * row s</c> over the rows of a
/// panel, in ascending order, one multiply-add each. Several queries share each row that is read; a query's result does
/// not depend on them.
/// </summary>
internal static unsafe class KvPanel
{
    /// <summary>Elements of a row.</summary>
    public const int Width = 32;

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
        if (format == KvFormat.Bf16)
            MultiplyAdd<Bf16Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
        else
            MultiplyAdd<Float32Row>(panel, next, rows, queries, weights, weightStride, sums, sumStride);
    }

    // Six queries (a KV head's group in Grok-1) fill the registers: twelve sums, one row's two halves, one weight.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyAdd<TRow>(byte* panel, byte* next, int rows, int queries, float* weights, nint weightStride, float* sums, nint sumStride)
        where TRow : IRow
    {
        while (queries > 0)
        {
            int taken;
            switch (queries)
            {
                case >= 6:
                    MultiplyAdd<TRow, Six>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 6;
                    break;
                case >= 4:
                    MultiplyAdd<TRow, Four>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 4;
                    break;
                case >= 2:
                    MultiplyAdd<TRow, Two>(panel, next, rows, weights, weightStride, sums, sumStride);
                    taken = 2;
                    break;
                default:
                    MultiplyAdd<TRow, One>(panel, next, rows, weights, weightStride, sums, sumStride);
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
    private static void MultiplyAdd<TRow, TCount>(byte* panel, byte* next, int rows, float* weights, nint weightStride, float* sums, nint sumStride)
        where TRow : IRow
        where TCount : ICount
    {
        float* w1 = weights + weightStride, w2 = w1 + weightStride, w3 = w2 + weightStride, w4 = w3 + weightStride, w5 = w4 + weightStride;
        for (int lane = 0; lane < Half; lane += Vector<float>.Count)
        {
            float* target = sums + lane;
            Vector<float> low0 = Vector.Load(target), high0 = Vector.Load(target + Half);
            Vector<float> low1 = default, high1 = default, low2 = default, high2 = default, low3 = default, high3 = default;
            Vector<float> low4 = default, high4 = default, low5 = default, high5 = default;
            if (TCount.Value > 1)
                (low1, high1) = (Vector.Load(target + sumStride), Vector.Load(target + sumStride + Half));
            if (TCount.Value > 2)
            {
                (low2, high2) = (Vector.Load(target + 2 * sumStride), Vector.Load(target + 2 * sumStride + Half));
                (low3, high3) = (Vector.Load(target + 3 * sumStride), Vector.Load(target + 3 * sumStride + Half));
            }
            if (TCount.Value > 4)
            {
                (low4, high4) = (Vector.Load(target + 4 * sumStride), Vector.Load(target + 4 * sumStride + Half));
                (low5, high5) = (Vector.Load(target + 5 * sumStride), Vector.Load(target + 5 * sumStride + Half));
            }

            byte* row = panel;
            for (nint s = 0; s < rows; s++, row += TRow.Bytes)
            {
                TRow.Prefetch(next + s * TRow.Bytes, lane);
                TRow.Load(row, lane, out var low, out var high);
                Add(weights + s, low, high, ref low0, ref high0);
                if (TCount.Value > 1)
                    Add(w1 + s, low, high, ref low1, ref high1);
                if (TCount.Value > 2)
                {
                    Add(w2 + s, low, high, ref low2, ref high2);
                    Add(w3 + s, low, high, ref low3, ref high3);
                }
                if (TCount.Value > 4)
                {
                    Add(w4 + s, low, high, ref low4, ref high4);
                    Add(w5 + s, low, high, ref low5, ref high5);
                }
            }

            Store(low0, high0, target);
            if (TCount.Value > 1)
                Store(low1, high1, target + sumStride);
            if (TCount.Value > 2)
            {
                Store(low2, high2, target + 2 * sumStride);
                Store(low3, high3, target + 3 * sumStride);
            }
            if (TCount.Value > 4)
            {
                Store(low4, high4, target + 4 * sumStride);
                Store(low5, high5, target + 5 * sumStride);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* weight, Vector<float> low, Vector<float> high, ref Vector<float> lowSum, ref Vector<float> highSum)
    {
        var w = new Vector<float>(*weight);
        lowSum = Simd.MultiplyAdd(w, low, lowSum);
        highSum = Simd.MultiplyAdd(w, high, highSum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector<float> low, Vector<float> high, float* target)
    {
        low.Store(target);
        high.Store(target + Half);
    }

    /// <summary>A row's element type: how its elements at lane and lane + 16 become float32.</summary>
    private interface IRow
    {
        static abstract int Bytes { get; }

        static abstract void Prefetch(byte* row, int lane);

        static abstract void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high);
    }

    private readonly struct Float32Row : IRow
    {
        public static int Bytes => Width * sizeof(float);

        // A row is two cache lines, read from lane and from lane + 16.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int lane)
        {
            if (Sse.IsSupported)
            {
                Sse.Prefetch0(row + lane * sizeof(float));
                Sse.Prefetch0(row + (lane + Half) * sizeof(float));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high)
        {
            low = Vector.Load((float*)row + lane);
            high = Vector.Load((float*)row + lane + Half);
        }
    }

    private readonly struct Bf16Row : IRow
    {
        public static int Bytes => Width * sizeof(ushort);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Prefetch(byte* row, int lane)
        {
            if (Sse.IsSupported)
                Sse.Prefetch0(row + lane * sizeof(uint));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Load(byte* row, int lane, out Vector<float> low, out Vector<float> high)
        {
            var words = Vector.Load((uint*)row + lane);
            low = Vector.AsVectorSingle(words << 16);
            high = Vector.AsVectorSingle(words & new Vector<uint>(0xFFFF_0000));
        }
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
