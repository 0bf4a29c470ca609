using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>Chooses the product for a weight format and an activation format.</summary>
public static unsafe class PanelProduct
{
    /// <summary>
    /// Adds <c>x[rows[i]] W[:, panel]</c> over the operands' run of blocks to <c>y[i * stride .. + 32)</c>, for i below
    /// <paramref name="count"/>. The bits of a row do not depend on the other rows.
    /// </summary>
    /// <exception cref="ArgumentException">Quantised activations meet float weights.</exception>
    public static void Accumulate(WeightFormat format, in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (count == 0 || w.FirstBlock == w.EndBlock)
            return;
        switch (format, x.Format)
        {
            case (WeightFormat.Int8, ActivationFormat.Int8Blocks):
                Int8BlockProduct.Accumulate(w, x, rows, count, y, stride);
                break;
            case (WeightFormat.Int8, ActivationFormat.Float32):
                Int8ExactProduct.Accumulate(w, x, rows, count, y, stride);
                break;
            case (WeightFormat.Int4, ActivationFormat.Int8Blocks):
                Int4BlockProduct.Accumulate(w, x, rows, count, y, stride);
                break;
            case (WeightFormat.Int4, ActivationFormat.Float32):
                Int4ExactProduct.Accumulate(w, x, rows, count, y, stride);
                break;
            case (WeightFormat.BFloat16, ActivationFormat.Float32):
                FloatProduct<BFloat16Weights>.Accumulate(w, x, rows, count, y, stride);
                break;
            case (WeightFormat.Float32, ActivationFormat.Float32):
                FloatProduct<Float32Weights>.Accumulate(w, x, rows, count, y, stride);
                break;
            default:
                throw new ArgumentException($"{format} weights cannot be multiplied with {x.Format} activations", nameof(format));
        }
    }

    /// <summary>The activation format in which weights of a format are multiplied: int8 blocks only where both sides are quantised.</summary>
    public static ActivationFormat ActivationsFor(WeightFormat format, bool exact) =>
        exact || !format.IsQuantised() ? ActivationFormat.Float32 : ActivationFormat.Int8Blocks;
}
