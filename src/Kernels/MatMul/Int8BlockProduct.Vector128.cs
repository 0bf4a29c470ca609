using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The portable path, for processors without AVX2: a 32-bit lane is a column with four rows of K; each row is shifted out
/// of it and multiplied in int32.
/// </summary>
internal static unsafe partial class Int8BlockProduct
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateVector128(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        var weights = w.Weights;
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
            for (var i = 0; i < count; i++)
            {
                var values = x.Values + rows[i] * paddedLength + block.PaddedStart;
                var scale = Vector128.Create(x.Scales[rows[i] * blockCount + b]);
                var target = y + i * stride;
                for (var column = 0; column < PanelLayout.Columns; column += 4)
                {
                    var dot = DotVector128(weights + column * ReductionAxis.Interleave, values, block.PaddedLength);
                    var factor = scale * Bf16.Load4(weightScales + column);
                    Vector128.FusedMultiplyAdd(Vector128.ConvertToSingle(dot), factor, Vector128.Load(target + column)).Store(target + column);
                }
            }
            weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> DotVector128(byte* weights, sbyte* x, int length)
    {
        var offset = Vector128.Create((byte)PanelLayout.Offset);
        var dot = Vector128<int>.Zero;
        for (var k = 0; k < length; k += 4, weights += 128)
        {
            var lanes = (Vector128.Load(weights) ^ offset).AsInt32();
            dot += (lanes << 24 >> 24) * x[k];
            dot += (lanes << 16 >> 24) * x[k + 1];
            dot += (lanes << 8 >> 24) * x[k + 2];
            dot += (lanes >> 24) * x[k + 3];
        }
        return dot;
    }
}
