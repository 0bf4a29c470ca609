using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// AVX-VNNI: <c>vpdpbusd</c> multiplies the unsigned packed weights (weight + 128) with signed activations, four rows of K
/// a lane. Accumulators start at -128 times the sum of the block's activations, which undoes the offset exactly.
/// One row keeps its result in registers along K; several rows go six at a time over 16 columns (12 accumulators, 2 weight
/// vectors, 1 broadcast: the 16 registers of AVX), block by block, so a block of weights (4 KiB) stays in L1 for all rows.
/// </summary>
internal static unsafe partial class Int8BlockProduct
{
    private const int TileRows = 6;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AccumulateVnni(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        if (count == 1)
        {
            OneRowVnni(w, x.Values + rows[0] * paddedLength, x.Scales + rows[0] * blockCount, x.Sums + rows[0] * blockCount, y);
            return;
        }
        // Rows beyond the last full tile repeat its last row into a scratch result: one kernel, no variants.
        var scratch = stackalloc float[PanelLayout.Columns];
        var values = stackalloc sbyte*[TileRows];
        var targets = stackalloc float*[TileRows];
        var tileRows = stackalloc long[TileRows];
        var weights = w.Weights;
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
            for (var first = 0; first < count; first += TileRows)
            {
                if (count - first == 1)
                {
                    var row = rows[first];
                    OneBlockVnni(weights, block.PaddedLength, weightScales, x.Values + row * paddedLength + block.PaddedStart,
                        x.Scales[row * blockCount + b], x.Sums[row * blockCount + b], y + first * stride);
                    break;
                }
                for (var i = 0; i < TileRows; i++)
                {
                    var inside = first + i < count;
                    long row = rows[inside ? first + i : count - 1];
                    values[i] = x.Values + row * paddedLength + block.PaddedStart;
                    tileRows[i] = row * blockCount + b;
                    targets[i] = inside ? y + (first + i) * stride : scratch;
                }
                TileVnni(weights, block.PaddedLength, weightScales, values, x.Scales, x.Sums, tileRows, targets, 0);
                TileVnni(weights, block.PaddedLength, weightScales, values, x.Scales, x.Sums, tileRows, targets, 16);
            }
            weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRowVnni(in PanelOperands w, sbyte* values, float* scales, int* sums, float* y)
    {
        var y0 = Vector256.Load(y);
        var y1 = Vector256.Load(y + 8);
        var y2 = Vector256.Load(y + 16);
        var y3 = Vector256.Load(y + 24);
        var weights = w.Weights;
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
                var broadcast = Vector256.Create(Unsafe.ReadUnaligned<int>(x)).AsSByte();
                d0 = AvxVnni.MultiplyWideningAndAdd(d0, Vector256.Load(weights), broadcast);
                d1 = AvxVnni.MultiplyWideningAndAdd(d1, Vector256.Load(weights + 32), broadcast);
                d2 = AvxVnni.MultiplyWideningAndAdd(d2, Vector256.Load(weights + 64), broadcast);
                d3 = AvxVnni.MultiplyWideningAndAdd(d3, Vector256.Load(weights + 96), broadcast);
            }
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneBlockVnni(byte* weights, int length, ushort* weightScales, sbyte* x, float scale, int sum, float* y)
    {
        var d0 = Vector256.Create(sum * -PanelLayout.Offset);
        var d1 = d0;
        var d2 = d0;
        var d3 = d0;
        for (var end = x + length; x < end; x += 4, weights += 128)
        {
            var broadcast = Vector256.Create(Unsafe.ReadUnaligned<int>(x)).AsSByte();
            d0 = AvxVnni.MultiplyWideningAndAdd(d0, Vector256.Load(weights), broadcast);
            d1 = AvxVnni.MultiplyWideningAndAdd(d1, Vector256.Load(weights + 32), broadcast);
            d2 = AvxVnni.MultiplyWideningAndAdd(d2, Vector256.Load(weights + 64), broadcast);
            d3 = AvxVnni.MultiplyWideningAndAdd(d3, Vector256.Load(weights + 96), broadcast);
        }
        Finish(d0, scale, weightScales, y);
        Finish(d1, scale, weightScales + 8, y + 8);
        Finish(d2, scale, weightScales + 16, y + 16);
        Finish(d3, scale, weightScales + 24, y + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void TileVnni(byte* weights, int length, ushort* weightScales, sbyte** values, float* scales, int* sums, long* rows, float** y, int column)
    {
        var a0 = Vector256.Create(sums[rows[0]] * -PanelLayout.Offset);
        var b0 = a0;
        var a1 = Vector256.Create(sums[rows[1]] * -PanelLayout.Offset);
        var b1 = a1;
        var a2 = Vector256.Create(sums[rows[2]] * -PanelLayout.Offset);
        var b2 = a2;
        var a3 = Vector256.Create(sums[rows[3]] * -PanelLayout.Offset);
        var b3 = a3;
        var a4 = Vector256.Create(sums[rows[4]] * -PanelLayout.Offset);
        var b4 = a4;
        var a5 = Vector256.Create(sums[rows[5]] * -PanelLayout.Offset);
        var b5 = a5;
        sbyte* x0 = values[0], x1 = values[1], x2 = values[2], x3 = values[3], x4 = values[4], x5 = values[5];
        weights += column * ReductionAxis.Interleave;
        for (long k = 0; k < length; k += 4, weights += 128)
        {
            var wa = Vector256.Load(weights);
            var wb = Vector256.Load(weights + 32);
            var x = Vector256.Create(Unsafe.ReadUnaligned<int>(x0 + k)).AsSByte();
            a0 = AvxVnni.MultiplyWideningAndAdd(a0, wa, x);
            b0 = AvxVnni.MultiplyWideningAndAdd(b0, wb, x);
            x = Vector256.Create(Unsafe.ReadUnaligned<int>(x1 + k)).AsSByte();
            a1 = AvxVnni.MultiplyWideningAndAdd(a1, wa, x);
            b1 = AvxVnni.MultiplyWideningAndAdd(b1, wb, x);
            x = Vector256.Create(Unsafe.ReadUnaligned<int>(x2 + k)).AsSByte();
            a2 = AvxVnni.MultiplyWideningAndAdd(a2, wa, x);
            b2 = AvxVnni.MultiplyWideningAndAdd(b2, wb, x);
            x = Vector256.Create(Unsafe.ReadUnaligned<int>(x3 + k)).AsSByte();
            a3 = AvxVnni.MultiplyWideningAndAdd(a3, wa, x);
            b3 = AvxVnni.MultiplyWideningAndAdd(b3, wb, x);
            x = Vector256.Create(Unsafe.ReadUnaligned<int>(x4 + k)).AsSByte();
            a4 = AvxVnni.MultiplyWideningAndAdd(a4, wa, x);
            b4 = AvxVnni.MultiplyWideningAndAdd(b4, wb, x);
            x = Vector256.Create(Unsafe.ReadUnaligned<int>(x5 + k)).AsSByte();
            a5 = AvxVnni.MultiplyWideningAndAdd(a5, wa, x);
            b5 = AvxVnni.MultiplyWideningAndAdd(b5, wb, x);
        }
        var sa = Bf16.Load8(weightScales + column);
        var sb = Bf16.Load8(weightScales + column + 8);
        Finish(a0, b0, sa, sb, scales[rows[0]], y[0] + column);
        Finish(a1, b1, sa, sb, scales[rows[1]], y[1] + column);
        Finish(a2, b2, sa, sb, scales[rows[2]], y[2] + column);
        Finish(a3, b3, sa, sb, scales[rows[3]], y[3] + column);
        Finish(a4, b4, sa, sb, scales[rows[4]], y[4] + column);
        Finish(a5, b5, sa, sb, scales[rows[5]], y[5] + column);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<int> dot, float scale, ushort* weightScales, float* y) =>
        Fma.MultiplyAdd(Vector256.ConvertToSingle(dot), Vector256.Create(scale) * Bf16.Load8(weightScales), Vector256.Load(y)).Store(y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<int> a, Vector256<int> b, Vector256<float> scaleA, Vector256<float> scaleB, float scale, float* y)
    {
        var s = Vector256.Create(scale);
        Fma.MultiplyAdd(Vector256.ConvertToSingle(a), s * scaleA, Vector256.Load(y)).Store(y);
        Fma.MultiplyAdd(Vector256.ConvertToSingle(b), s * scaleB, Vector256.Load(y + 8)).Store(y + 8);
    }
}
