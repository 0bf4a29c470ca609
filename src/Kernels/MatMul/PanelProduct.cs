using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>Chooses the product for a weight format and an activation format.</summary>
public static unsafe class PanelProduct
{
    /// <summary>
    /// Adds <c>x[rows[i]] W[:, panel]</c> over the operands' run of blocks to <c>y[i * stride .. + 32)</c>, for i below
    /// <paramref name="count"/>. The bits of a row do not depend on the other rows. Outliers are not in it: <see cref="AddOutliers"/>.
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

    /// <summary>
    /// As <see cref="Accumulate"/> for panels that follow each other, which few rows, bound by reading the weights, take as one or two
    /// long streams.
    /// </summary>
    /// <param name="format">Of the weights.</param>
    /// <param name="w">The first panel.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="x">The activations.</param>
    /// <param name="rows">[count] rows of <paramref name="x"/>.</param>
    /// <param name="count">Rows.</param>
    /// <param name="y">Row i of panel p at <c>y + p * panelStride + i * stride</c>, 32 float32.</param>
    /// <param name="stride">Elements between rows.</param>
    /// <param name="panelStride">Elements between panels.</param>
    /// <exception cref="ArgumentException">Quantised activations meet float weights.</exception>
    public static void AccumulateStrip(WeightFormat format, in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        if (count == 0 || w.FirstBlock == w.EndBlock)
            return;
        if (x.Format == ActivationFormat.Int8Blocks && format switch
            {
                WeightFormat.Int8 => Int8BlockProduct.TryAccumulateStrip(w, panels, x, rows, count, y, stride, panelStride),
                WeightFormat.Int4 => Int4BlockProduct.TryAccumulateStrip(w, panels, x, rows, count, y, stride, panelStride),
                _ => false,
            })
            return;
        var one = w;
        for (var panel = 0; panel < panels; panel++)
        {
            Accumulate(format, one, x, rows, count, y + panel * panelStride, stride);
            one.Weights += one.PanelBytes;
            if (one.Scales is not null)
                one.Scales += one.PanelScales;
        }
    }

    /// <summary>
    /// As <see cref="AccumulateStrip"/> for one run after the other, whose blocks follow each other on the axis while their weights may be anywhere.
    /// Sums are added up in the runs' order: the bits are those of a call for each.
    /// </summary>
    /// <param name="format">Of the weights.</param>
    /// <param name="runs">The first panel over each run.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="x">The activations.</param>
    /// <param name="rows">[count] rows of <paramref name="x"/>.</param>
    /// <param name="count">Rows.</param>
    /// <param name="y">Row i of panel p at <c>y + p * panelStride + i * stride</c>, 32 float32.</param>
    /// <param name="stride">Elements between rows.</param>
    /// <param name="panelStride">Elements between panels.</param>
    /// <exception cref="ArgumentException">Quantised activations meet float weights.</exception>
    public static void AccumulateRuns(WeightFormat format, ReadOnlySpan<PanelOperands> runs, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        if (x.Format == ActivationFormat.Int8Blocks && format switch
            {
                WeightFormat.Int8 => Vnni512Product.TryAccumulateInt8Runs(runs, panels, x, rows, count, y, stride, panelStride),
                WeightFormat.Int4 => Vnni512Product.TryAccumulateInt4Runs(runs, panels, x, rows, count, y, stride, panelStride),
                _ => false,
            })
            return;
        foreach (ref readonly var run in runs)
            AccumulateStrip(format, run, panels, x, rows, count, y, stride, panelStride);
    }

    /// <summary>As <see cref="AccumulateRuns"/> over int8 weights, for rows that were dealt into tiles.</summary>
    /// <param name="runs">The first panel over each run.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="x">The activations of all rows.</param>
    /// <param name="y">Row i of panel p at <c>y + p * panelStride + i * stride</c>, 32 float32.</param>
    /// <param name="stride">Elements between rows.</param>
    /// <param name="panelStride">Elements between panels.</param>
    public static void AccumulateTiles(ReadOnlySpan<PanelOperands> runs, int panels, RowTiles x, float* y, long stride, long panelStride) =>
        AmxProduct.Accumulate(runs, panels, x, y, stride, panelStride);

    /// <summary>
    /// Adds what outliers of rows contribute, once after every run of blocks of a sum: so it does not matter how the runs were cut.
    /// Costs a look at each row where there are none. Parameters as in <see cref="AccumulateStrip"/>.
    /// </summary>
    /// <exception cref="ArgumentException">Outliers meet weights other than int8, whose blocks are too short to have any.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddOutliers(WeightFormat format, in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        if (x.Format != ActivationFormat.Int8Blocks)
            return;
        for (var i = 0; i < count; i++)
            for (var b = x.NextOutliers(rows[i], w.FirstBlock, w.EndBlock); b < w.EndBlock; b = x.NextOutliers(rows[i], b + 1, w.EndBlock))
            {
                if (format != WeightFormat.Int8)
                    throw new ArgumentException($"{format} weights cannot be multiplied with outliers", nameof(format));
                OutlierProduct.Add(w, panels, b, x.OutliersOf(rows[i], b), y + i * stride, panelStride);
            }
    }

    /// <summary>The activation format in which weights of a format are multiplied: int8 blocks only where both sides are quantised.</summary>
    public static ActivationFormat ActivationsFor(WeightFormat format, bool exact) =>
        exact || !format.IsQuantised() ? ActivationFormat.Float32 : ActivationFormat.Int8Blocks;
}
