using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// AVX2 without VNNI: <c>vpmaddubsw</c> saturates on (unsigned weight) * (signed activation), so the sign moves over:
/// |w| * sign(x, w), whose pairs are at most 2 * 127 * 127 = 32258 and fit in int16. Exact, so the bits are VNNI's.
/// </summary>
internal static unsafe partial class Int8BlockProduct
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AccumulateAvx2(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        var weights = w.Weights;
        for (var b = w.FirstBlock; b < w.EndBlock; b++)
        {
            ref readonly var block = ref w.Blocks[b];
            var weightScales = w.Scales + (long)(block.Group - w.FirstGroup) * w.ScaleStride;
            for (var i = 0; i < count; i++)
                OneBlockAvx2(weights, block.PaddedLength, weightScales, x.Values + rows[i] * paddedLength + block.PaddedStart,
                    x.Scales[rows[i] * blockCount + b], y + i * stride);
            weights += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneBlockAvx2(byte* weights, int length, ushort* weightScales, sbyte* x, float scale, float* y)
    {
        var d0 = Vector256<int>.Zero;
        var d1 = d0;
        var d2 = d0;
        var d3 = d0;
        for (var end = x + length; x < end; x += 4, weights += 128)
        {
            var broadcast = Vector256.Create(Unsafe.ReadUnaligned<int>(x)).AsSByte();
            d0 += DotAvx2(weights, broadcast);
            d1 += DotAvx2(weights + 32, broadcast);
            d2 += DotAvx2(weights + 64, broadcast);
            d3 += DotAvx2(weights + 96, broadcast);
        }
        var factor = Vector256.Create(scale);
        Finish(d0, factor * Bf16.Load8(weightScales), y);
        Finish(d1, factor * Bf16.Load8(weightScales + 8), y + 8);
        Finish(d2, factor * Bf16.Load8(weightScales + 16), y + 16);
        Finish(d3, factor * Bf16.Load8(weightScales + 24), y + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> DotAvx2(byte* weights, Vector256<sbyte> x)
    {
        var signed = (Vector256.Load(weights) ^ Vector256.Create((byte)PanelLayout.Offset)).AsSByte();
        var pairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(signed), Avx2.Sign(x, signed));
        return Avx2.MultiplyAddAdjacent(pairs, Vector256.Create((short)1));
    }
}
