using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast product: int8 weights times int8 activation blocks. For each row and column, per activation block b in
/// ascending order: <c>y = fma(float(dot_b), activationScale_b * weightScale_b, y)</c>, with dot_b exact in int32
/// (at most 128 * 127 * 127 &lt; 2^24, so its conversion to float32 is exact too). Every path gives the same bits.
/// </summary>
internal static unsafe partial class Int8BlockProduct
{
    /// <summary>Adds to rows of y: for a row r, <c>y[r, 0..32) += x[r] W[:, panel]</c> over the run of blocks.</summary>
    /// <param name="w">The panel.</param>
    /// <param name="x">The activations, int8 blocks.</param>
    /// <param name="rows">[count] rows of <paramref name="x"/>.</param>
    /// <param name="count">Rows, any number.</param>
    /// <param name="y">Row i of the result at <c>y + i * stride</c>, 32 float32.</param>
    /// <param name="stride">Elements between rows of <paramref name="y"/>.</param>
    public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (Avx512Vnni.IsSupported)
            Vnni512Product.AccumulateInt8(w, 1, x, rows, count, y, stride, 0);
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
            Vnni512Product.AccumulateInt8(w, panels, x, rows, count, y, stride, panelStride);
        else if (AvxVnni.IsSupported && count == 1)
            OneRowVnni(w, panels, x, rows[0], y, panelStride);
        else
            return false;
        return true;
    }

    /// <summary>The scalar twin.</summary>
    public static void AccumulateScalar(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var axis = x.Axis;
        for (var i = 0; i < count; i++)
        {
            var values = x.Values + (long)rows[i] * axis.PaddedLength;
            var scales = x.Scales + (long)rows[i] * axis.BlockCount;
            var weights = w.Weights;
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
            {
                var block = w.Blocks[b];
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var dot = 0;
                    for (var k = 0; k < block.PaddedLength; k++)
                    {
                        var packed = weights[(k / 4 * PanelLayout.Columns + column) * 4 + k % 4];
                        dot += (packed - PanelLayout.Offset) * values[block.PaddedStart + k];
                    }
                    var weightScale = Bf16.Widen(w.Scales[(long)(block.Group - w.FirstGroup) * w.ScaleStride + column]);
                    ref var result = ref y[i * stride + column];
                    result = MathF.FusedMultiplyAdd(dot, scales[b] * weightScale, result);
                }
                weights += (long)block.PaddedLength * PanelLayout.Columns;
            }
        }
    }
}
