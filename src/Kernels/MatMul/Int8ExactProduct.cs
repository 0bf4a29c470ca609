using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The exact product: int8 weights times float32 activations. For each row and column, per activation block b in ascending
/// order: <c>s = fma(x_k, float(w_k), s)</c> for k ascending from s = 0, then <c>y = fma(s, weightScale_b, y)</c>.
/// A 32-bit lane of packed weights is one column with four rows of K; each row is shifted out of it.
/// </summary>
internal static unsafe class Int8ExactProduct
{
    private const int TileRows = 4;

    /// <summary>As <see cref="Int8BlockProduct.Accumulate"/>, for float32 activations.</summary>
    public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (Vector256.IsHardwareAccelerated)
            AccumulateVector256(w, x, rows, count, y, stride);
        else
            AccumulateVector128(w, x, rows, count, y, stride);
    }

    /// <summary>The scalar twin.</summary>
    public static void AccumulateScalar(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        for (var i = 0; i < count; i++)
        {
            var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength;
            var weights = w.Weights;
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
            {
                var block = w.Blocks[b];
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var sum = 0f;
                    for (var k = 0; k < block.PaddedLength; k++)
                    {
                        var packed = weights[(k / 4 * PanelLayout.Columns + column) * 4 + k % 4];
                        sum = MathF.FusedMultiplyAdd(values[block.PaddedStart + k], packed - PanelLayout.Offset, sum);
                    }
                    var weightScale = Bf16.Widen(w.Scales[(long)(block.Group - w.FirstGroup) * w.ScaleStride + column]);
                    ref var result = ref y[i * stride + column];
                    result = MathF.FusedMultiplyAdd(sum, weightScale, result);
                }
                weights += (long)block.PaddedLength * PanelLayout.Columns;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVector256(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var scratch = stackalloc float[PanelLayout.Columns];
        var values = stackalloc float*[TileRows];
        var targets = stackalloc float*[TileRows];
        var weights = w.Weights;
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
            for (var first = 0; first < count; first += TileRows)
            {
                for (var i = 0; i < TileRows; i++)
                {
                    var inside = first + i < count;
                    values[i] = x.Floats + (long)rows[inside ? first + i : count - 1] * x.Axis.PaddedLength + block.PaddedStart;
                    targets[i] = inside ? y + (first + i) * stride : scratch;
                }
                if (count - first == 1)
                    OneRow(weights, block.PaddedLength, weightScales, values[0], targets[0]);
                else
                    for (var column = 0; column < PanelLayout.Columns; column += 8)
                        Tile(weights + column * ReductionAxis.Interleave, block.PaddedLength, weightScales + column, values, targets, column);
            }
            weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneRow(byte* weights, int length, ushort* weightScales, float* x, float* y)
    {
        var s0 = Vector256<float>.Zero;
        var s1 = s0;
        var s2 = s0;
        var s3 = s0;
        for (var end = x + length; x < end; x += 4, weights += 128)
        {
            var l0 = Lanes(weights);
            var l1 = Lanes(weights + 32);
            var l2 = Lanes(weights + 64);
            var l3 = Lanes(weights + 96);
            for (var j = 0; j < 4; j++)
            {
                var value = Vector256.Create(x[j]);
                s0 = Vector256.FusedMultiplyAdd(value, Row(l0, j), s0);
                s1 = Vector256.FusedMultiplyAdd(value, Row(l1, j), s1);
                s2 = Vector256.FusedMultiplyAdd(value, Row(l2, j), s2);
                s3 = Vector256.FusedMultiplyAdd(value, Row(l3, j), s3);
            }
        }
        Finish(s0, weightScales, y);
        Finish(s1, weightScales + 8, y + 8);
        Finish(s2, weightScales + 16, y + 16);
        Finish(s3, weightScales + 24, y + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(byte* weights, int length, ushort* weightScales, float** values, float** y, int column)
    {
        var s0 = Vector256<float>.Zero;
        var s1 = s0;
        var s2 = s0;
        var s3 = s0;
        float* x0 = values[0], x1 = values[1], x2 = values[2], x3 = values[3];
        for (var k = 0; k < length; k += 4, weights += 128)
        {
            var lanes = Lanes(weights);
            for (var j = 0; j < 4; j++)
            {
                var row = Row(lanes, j);
                s0 = Vector256.FusedMultiplyAdd(Vector256.Create(x0[k + j]), row, s0);
                s1 = Vector256.FusedMultiplyAdd(Vector256.Create(x1[k + j]), row, s1);
                s2 = Vector256.FusedMultiplyAdd(Vector256.Create(x2[k + j]), row, s2);
                s3 = Vector256.FusedMultiplyAdd(Vector256.Create(x3[k + j]), row, s3);
            }
        }
        Finish(s0, weightScales, y[0] + column);
        Finish(s1, weightScales, y[1] + column);
        Finish(s2, weightScales, y[2] + column);
        Finish(s3, weightScales, y[3] + column);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Lanes(byte* weights) => (Vector256.Load(weights) ^ Vector256.Create((byte)PanelLayout.Offset)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Row(Vector256<int> lanes, int j) => Vector256.ConvertToSingle(lanes << (24 - 8 * j) >> 24);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<float> sum, ushort* weightScales, float* y) =>
        Vector256.FusedMultiplyAdd(sum, Bf16.Load8(weightScales), Vector256.Load(y)).Store(y);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVector128(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var weights = w.Weights;
        var offset = Vector128.Create((byte)PanelLayout.Offset);
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
            for (var i = 0; i < count; i++)
            {
                var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength + block.PaddedStart;
                var target = y + i * stride;
                for (var column = 0; column < PanelLayout.Columns; column += 4)
                {
                    var sum = Vector128<float>.Zero;
                    var source = weights + column * ReductionAxis.Interleave;
                    for (var k = 0; k < block.PaddedLength; k += 4, source += 128)
                    {
                        var lanes = (Vector128.Load(source) ^ offset).AsInt32();
                        for (var j = 0; j < 4; j++)
                            sum = Vector128.FusedMultiplyAdd(Vector128.Create(values[k + j]), Vector128.ConvertToSingle(lanes << (24 - 8 * j) >> 24), sum);
                    }
                    Vector128.FusedMultiplyAdd(sum, Bf16.Load4(weightScales + column), Vector128.Load(target + column)).Store(target + column);
                }
            }
            weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }
}
