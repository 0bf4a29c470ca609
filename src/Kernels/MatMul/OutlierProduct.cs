using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// What outliers of activations add to a product with int8 weights, after all blocks of the sum and by ascending position:
/// <c>y = fma(weight, value * weightScale, y)</c>. A column of a panel is 32 bytes in two cache lines, so an outlier costs a
/// fiftieth of its block.
/// </summary>
internal static unsafe class OutlierProduct
{
    /// <summary>The outliers of one block of a row, over panels that follow each other.</summary>
    /// <param name="w">The first panel; its run has the block.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="block">Index of the block.</param>
    /// <param name="outliers">The block's.</param>
    /// <param name="y">The row's result, panel p at <c>y + p * panelStride</c>, 32 float32.</param>
    /// <param name="panelStride">Elements between panels.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(in PanelOperands w, int panels, int block, ReadOnlySpan<Outlier> outliers, float* y, long panelStride)
    {
        var scales = w.Scales + (long)(w.Blocks[block].Group - w.FirstGroup) * w.ScaleStride;
        var firstPosition = w.Blocks[w.FirstBlock].PaddedStart;
        foreach (var outlier in outliers)
        {
            var k = outlier.Position - firstPosition;
            var weights = w.Weights + k / ReductionAxis.Interleave * (long)(PanelLayout.Columns * ReductionAxis.Interleave);
            var shift = k % ReductionAxis.Interleave * 8;
            var value = Vector256.Create(outlier.Value);
            for (var panel = 0; panel < panels; panel++)
                for (var column = 0; column < PanelLayout.Columns; column += Vector256<float>.Count)
                {
                    var four = Vector256.Load((int*)(weights + panel * w.PanelBytes) + column) >>> shift;
                    var weight = Vector256.ConvertToSingle((four & Vector256.Create(0xFF)) - Vector256.Create(PanelLayout.Offset));
                    var target = y + panel * panelStride + column;
                    var scale = value * Bf16.Load8(scales + (long)panel * w.PanelScales + column);
                    Vector256.FusedMultiplyAdd(weight, scale, Vector256.Load(target)).Store(target);
                }
        }
    }

    /// <summary>The scalar twin of <see cref="Add"/>: the same bits.</summary>
    public static void AddScalar(in PanelOperands w, int panels, int block, ReadOnlySpan<Outlier> outliers, float* y, long panelStride)
    {
        foreach (var outlier in outliers)
        {
            var k = outlier.Position - w.Blocks[w.FirstBlock].PaddedStart;
            for (var column = 0; column < panels * PanelLayout.Columns; column++)
            {
                var (panel, lane) = Math.DivRem(column, PanelLayout.Columns);
                var weight = w.Weights[panel * w.PanelBytes + (k / 4 * PanelLayout.Columns + lane) * 4 + k % 4] - PanelLayout.Offset;
                var scale = outlier.Value * Bf16.Widen(w.Scales[(long)(w.Blocks[block].Group - w.FirstGroup) * w.ScaleStride + panel * w.PanelScales + lane]);
                ref var result = ref y[panel * panelStride + lane];
                result = MathF.FusedMultiplyAdd(weight, scale, result);
            }
        }
    }
}
