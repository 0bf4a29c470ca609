using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The exact product: int4 weights times float32 activations. For each row and column, per block of 32 in ascending order:
/// <c>s = fma(x_k, float(w_k), s)</c> for k ascending from s = 0, then <c>y = fma(s, weightScale_b, y)</c>.
/// </summary>
internal static unsafe class Int4ExactProduct
{
    /// <summary>As <see cref="Int8ExactProduct.Accumulate"/>, for int4 weights.</summary>
    public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
        Int4Panel.Accumulate<Picked>(w, x, rows, count, y, stride);

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
                var values = x.Floats + (long)rows[i] * x.Axis.PaddedLength + block.PaddedStart;
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var sum = 0f;
                    for (var k = 0; k < block.PaddedLength; k++)
                        sum = MathF.FusedMultiplyAdd(values[k], Int4BlockProduct.WeightAt(weights, k, column), sum);
                    var weightScale = Bf16.Widen(((ushort*)(weights + PanelLayout.Int4WeightBytes))[column]);
                    ref var result = ref y[i * stride + column];
                    result = MathF.FusedMultiplyAdd(sum, weightScale, result);
                }
            }
        }
    }

    private readonly struct Picked : IInt8Product
    {
        public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            Int8ExactProduct.Accumulate(w, x, rows, count, y, stride);
    }

    private readonly struct OfVector128 : IInt8Product
    {
        public static void Accumulate(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            Int8ExactProduct.AccumulateVector128(w, x, rows, count, y, stride);
    }
}
