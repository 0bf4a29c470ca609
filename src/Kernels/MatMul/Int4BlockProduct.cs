using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast product: int4 weights times int8 activation blocks. For each row and column, per block b of 32 in ascending
/// order: <c>y = fma(float(dot_b), activationScale_b * weightScale_b, y)</c>, with dot_b exact in int32. One row, and
/// tiles of rows with AVX-VNNI, unpack the weights in registers; elsewhere several rows share weights unpacked to int8 and
/// go through <see cref="Int8BlockProduct"/>. Every path gives the same bits.
/// </summary>
internal static unsafe partial class Int4BlockProduct
{
    /// <summary>As <see cref="Int8BlockProduct.Accumulate"/>, for int4 weights.</summary>
    public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (Avx512Vnni.IsSupported)
            Vnni512Product.AccumulateInt4(w, 1, x, rows, count, y, stride, 0);
        else if (AvxVnni.IsSupported)
            AccumulateVnni(w, x, rows, count, y, stride);
        else if (Avx2.IsSupported && Fma.IsSupported)
            AccumulateAvx2(w, x, rows, count, y, stride);
        else
            AccumulateVector128(w, x, rows, count, y, stride);
    }

    /// <summary>Panels that follow each other in memory; false where no path does better than panel by panel.</summary>
    public static bool TryAccumulateStrip(in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        if (Avx512Vnni.IsSupported)
            Vnni512Product.AccumulateInt4(w, panels, x, rows, count, y, stride, panelStride);
        else if (AvxVnni.IsSupported && count == 1)
            OneRow<VnniDot>(w, panels, x, rows[0], y, panelStride);
        else if (Avx2.IsSupported && Fma.IsSupported && count == 1)
            OneRow<Avx2Dot>(w, panels, x, rows[0], y, panelStride);
        else
            return false;
        return true;
    }

    internal static void AccumulateVnni(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (count == 1)
            OneRow<VnniDot>(w, 1, x, rows[0], y, 0);
        else
            TilesVnni(w, x, rows, count, y, stride);
    }

    internal static void AccumulateAvx2(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (count == 1)
            OneRow<Avx2Dot>(w, 1, x, rows[0], y, 0);
        else
            Int4Panel.Accumulate<OfAvx2>(w, x, rows, count, y, stride);
    }

    internal static void AccumulateVector128(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
        Int4Panel.Accumulate<OfVector128>(w, x, rows, count, y, stride);

    /// <summary>The scalar twin.</summary>
    public static void AccumulateScalar(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        for (var i = 0; i < count; i++)
        {
            var weights = w.Weights;
            for (var b = w.FirstBlock; b < w.EndBlock; b++, weights += PanelLayout.Int4BlockBytes)
            {
                var block = w.Blocks[b];
                var values = x.Values + (long)rows[i] * x.Axis.PaddedLength + block.PaddedStart;
                var scale = x.Scales[(long)rows[i] * x.Axis.BlockCount + b];
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var dot = 0;
                    for (var k = 0; k < block.PaddedLength; k++)
                        dot += WeightAt(weights, k, column) * values[k];
                    var weightScale = Bf16.Widen(((ushort*)(weights + PanelLayout.Int4WeightBytes))[column]);
                    ref var result = ref y[i * stride + column];
                    result = MathF.FusedMultiplyAdd(dot, scale * weightScale, result);
                }
            }
        }
    }

    /// <summary>The weight in row <paramref name="k"/> of a packed block.</summary>
    internal static int WeightAt(byte* block, int k, int column)
    {
        var both = block[(k / 8 * PanelLayout.Columns + column) * 4 + k % 4];
        return (k % 8 < 4 ? both & 0x0F : both >> 4) - PanelLayout.Int4Offset;
    }

    private readonly struct OfAvx2 : IInt8Product
    {
        public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            Int8BlockProduct.AccumulateAvx2(w, x, rows, count, y, stride);
    }

    private readonly struct OfVector128 : IInt8Product
    {
        public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            Int8BlockProduct.AccumulateVector128(w, x, rows, count, y, stride);
    }
}
