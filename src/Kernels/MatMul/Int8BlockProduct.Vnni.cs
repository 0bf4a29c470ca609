using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;
using static Grok1Cluster.Kernels.MatMul.VnniTiles;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// AVX-VNNI: <c>vpdpbusd</c> multiplies the unsigned packed weights (weight + 128) with signed activations, four rows of K
/// a lane. Accumulators start at -128 times the sum of the block's activations, which undoes the offset exactly.
/// One row keeps its result in registers along K. Several rows go three at a time over the panel's 32 columns (12
/// accumulators, 3 broadcasts, 1 weight vector: the 16 registers that AVX-VNNI can name), block by block, so a block of
/// weights (4 KiB) stays in L1 for all rows; the first tile of a block brings the next block there.
/// </summary>
internal static unsafe partial class Int8BlockProduct
{
    /// <summary>How far ahead weights are asked for: a full block, so that a block's first tile finds them in L1.</summary>
    private const int AheadBytes = ReductionAxis.MaxBlock * PanelLayout.Columns;

    /// <summary>One activation block of all rows, and the weights it meets.</summary>
    private ref struct BlockOperands
    {
        /// <summary>[PaddedLength / 4, 32, 4] packed weights.</summary>
        public byte* Weights;

        /// <summary>[32] float32.</summary>
        public float* WeightScales;

        /// <summary>The block's values, scale and sum of row 0.</summary>
        public sbyte* Values;
        public float* Scales;
        public int* Sums;

        /// <summary>Elements from a row's values, scale and sum to the next row's.</summary>
        public long ValueStride;
        public long BlockStride;

        /// <summary>The block's PaddedLength.</summary>
        public int Length;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVnni(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        if (count == 1)
        {
            OneRowVnni(w, 1, x, rows[0], y, 0);
            return;
        }
        var weightScales = stackalloc float[PanelLayout.Columns];
        var operands = new BlockOperands { Weights = w.Weights, WeightScales = weightScales, ValueStride = paddedLength, BlockStride = blockCount };
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            for (var column = 0; column < PanelLayout.Columns; column += 8)
                Bf16.Load8(w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride + column).Store(weightScales + column);
            operands.Values = x.Values + block.PaddedStart;
            operands.Scales = x.Scales + b;
            operands.Sums = x.Sums + b;
            operands.Length = block.PaddedLength;
            if (count == 2)
                TileVnni<FirstTwo>(operands, rows, y, stride);
            else
                TilesVnni(operands, rows, count, y, stride);
            operands.Weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

    /// <summary>One block for three rows or more.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TilesVnni(in BlockOperands operands, int* rows, int count, float* y, long stride)
    {
        TileVnni<FirstThree>(operands, rows, y, stride);
        var first = 3;
        for (; first + 3 <= count; first += 3)
            TileVnni<Three>(operands, rows + first, y + first * stride, stride);
        if (count - first == 2)
            TileVnni<Two>(operands, rows + first, y + first * stride, stride);
        else if (count - first == 1)
            TileVnni<One>(operands, rows + first, y + first * stride, stride);
    }

    /// <summary>One row over panels that follow each other in memory: the weights are one stream.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void OneRowVnni(in PanelOperands w, int panels, Activations activations, int row, float* y, long panelStride)
    {
        var values = activations.Values + (long)row * activations.Axis.PaddedLength;
        var scales = activations.Scales + (long)row * activations.Axis.BlockCount;
        var sums = activations.Sums + (long)row * activations.Axis.BlockCount;
        var weights = w.Weights;
        var panelScales = w.Scales;
        for (var panel = 0; panel < panels; panel++, y += panelStride, panelScales += w.PanelScales)
        {
            var y0 = Vector256.Load(y);
            var y1 = Vector256.Load(y + 8);
            var y2 = Vector256.Load(y + 16);
            var y3 = Vector256.Load(y + 24);
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
            {
                ref readonly var block = ref w.Blocks[b];
                var d0 = Vector256.Create(sums[b] * -PanelLayout.Offset);
                var d1 = d0;
                var d2 = d0;
                var d3 = d0;
                var x = values + block.PaddedStart;
                for (var end = x + block.PaddedLength; x < end; x += 4, weights += 128)
                {
                    var broadcast = Broadcast(x);
                    d0 = AvxVnni.MultiplyWideningAndAdd(d0, Vector256.Load(weights), broadcast);
                    d1 = AvxVnni.MultiplyWideningAndAdd(d1, Vector256.Load(weights + 32), broadcast);
                    d2 = AvxVnni.MultiplyWideningAndAdd(d2, Vector256.Load(weights + 64), broadcast);
                    d3 = AvxVnni.MultiplyWideningAndAdd(d3, Vector256.Load(weights + 96), broadcast);
                }
                var weightScales = panelScales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
                var scale = Vector256.Create(scales[b]);
                y0 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d0), scale * Bf16.Load8(weightScales), y0);
                y1 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d1), scale * Bf16.Load8(weightScales + 8), y1);
                y2 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d2), scale * Bf16.Load8(weightScales + 16), y2);
                y3 = Fma.MultiplyAdd(Vector256.ConvertToSingle(d3), scale * Bf16.Load8(weightScales + 24), y3);
            }
            y0.Store(y);
            y1.Store(y + 8);
            y2.Store(y + 16);
            y3.Store(y + 24);
        }
    }

    /// <summary>One block for one to three rows. What a smaller tile lacks, the JIT leaves out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TileVnni<TTile>(in BlockOperands operands, int* rows, float* y, long stride)
        where TTile : IVnniTile
    {
        long row0 = rows[0], row1 = TTile.Rows > 1 ? rows[1] : row0, row2 = TTile.Rows > 2 ? rows[2] : row0;
        var (a0, b0, c0) = (Start(operands, row0), Start(operands, row1), Start(operands, row2));
        var (a1, b1, c1) = (a0, b0, c0);
        var (a2, b2, c2) = (a0, b0, c0);
        var (a3, b3, c3) = (a0, b0, c0);
        var weights = operands.Weights;
        var x0 = operands.Values + row0 * operands.ValueStride;
        var x1 = operands.Values + row1 * operands.ValueStride;
        var x2 = operands.Values + row2 * operands.ValueStride;
        long length = operands.Length;
        long k = 0;
        if (TTile.Rows == 1)
        {
            // Four accumulators alone would wait for each other; the registers of the rows that are not there take every second step.
            b0 = b1 = b2 = b3 = Vector256<int>.Zero;
            for (; k + 8 <= length; k += 8, weights += 256)
            {
                var (a, b) = (Broadcast(x0 + k), Broadcast(x0 + k + 4));
                a0 = AvxVnni.MultiplyWideningAndAdd(a0, Vector256.Load(weights), a);
                a1 = AvxVnni.MultiplyWideningAndAdd(a1, Vector256.Load(weights + 32), a);
                a2 = AvxVnni.MultiplyWideningAndAdd(a2, Vector256.Load(weights + 64), a);
                a3 = AvxVnni.MultiplyWideningAndAdd(a3, Vector256.Load(weights + 96), a);
                b0 = AvxVnni.MultiplyWideningAndAdd(b0, Vector256.Load(weights + 128), b);
                b1 = AvxVnni.MultiplyWideningAndAdd(b1, Vector256.Load(weights + 160), b);
                b2 = AvxVnni.MultiplyWideningAndAdd(b2, Vector256.Load(weights + 192), b);
                b3 = AvxVnni.MultiplyWideningAndAdd(b3, Vector256.Load(weights + 224), b);
            }
            (a0, a1, a2, a3) = (a0 + b0, a1 + b1, a2 + b2, a3 + b3);
        }
        for (; k < length; k += 4, weights += 128)
        {
            if (TTile.Prefetches)
            {
                Sse.Prefetch0(weights + AheadBytes);
                Sse.Prefetch0(weights + AheadBytes + 64);
            }
            var a = Broadcast(x0 + k);
            var b = Broadcast(x1 + k);
            var c = Broadcast(x2 + k);
            var columns = Vector256.Load(weights);
            a0 = AvxVnni.MultiplyWideningAndAdd(a0, columns, a);
            if (TTile.Rows > 1)
                b0 = AvxVnni.MultiplyWideningAndAdd(b0, columns, b);
            if (TTile.Rows > 2)
                c0 = AvxVnni.MultiplyWideningAndAdd(c0, columns, c);
            columns = Vector256.Load(weights + 32);
            a1 = AvxVnni.MultiplyWideningAndAdd(a1, columns, a);
            if (TTile.Rows > 1)
                b1 = AvxVnni.MultiplyWideningAndAdd(b1, columns, b);
            if (TTile.Rows > 2)
                c1 = AvxVnni.MultiplyWideningAndAdd(c1, columns, c);
            columns = Vector256.Load(weights + 64);
            a2 = AvxVnni.MultiplyWideningAndAdd(a2, columns, a);
            if (TTile.Rows > 1)
                b2 = AvxVnni.MultiplyWideningAndAdd(b2, columns, b);
            if (TTile.Rows > 2)
                c2 = AvxVnni.MultiplyWideningAndAdd(c2, columns, c);
            columns = Vector256.Load(weights + 96);
            a3 = AvxVnni.MultiplyWideningAndAdd(a3, columns, a);
            if (TTile.Rows > 1)
                b3 = AvxVnni.MultiplyWideningAndAdd(b3, columns, b);
            if (TTile.Rows > 2)
                c3 = AvxVnni.MultiplyWideningAndAdd(c3, columns, c);
        }
        Finish(a0, a1, a2, a3, operands, row0, y);
        if (TTile.Rows > 1)
            Finish(b0, b1, b2, b3, operands, row1, y + stride);
        if (TTile.Rows > 2)
            Finish(c0, c1, c2, c3, operands, row2, y + 2 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Start(in BlockOperands operands, long row) => Vector256.Create(operands.Sums[row * operands.BlockStride] * -PanelLayout.Offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<int> d0, Vector256<int> d1, Vector256<int> d2, Vector256<int> d3, in BlockOperands operands, long row, float* y)
    {
        var scale = Vector256.Create(operands.Scales[row * operands.BlockStride]);
        var weightScales = operands.WeightScales;
        Finish(d0, scale * Vector256.Load(weightScales), y);
        Finish(d1, scale * Vector256.Load(weightScales + 8), y + 8);
        Finish(d2, scale * Vector256.Load(weightScales + 16), y + 16);
        Finish(d3, scale * Vector256.Load(weightScales + 24), y + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<int> dot, Vector256<float> scale, float* y) =>
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot), scale, Vector256.Load(y)).Store(y);
}
