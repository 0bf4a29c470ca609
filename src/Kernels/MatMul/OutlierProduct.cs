using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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
            for (var panel = 0; panel < panels; panel++)
            {
                var columns = (int*)(weights + panel * w.PanelBytes);
                var columnScales = scales + (long)panel * w.PanelScales;
                var target = y + panel * panelStride;
                if (Avx512F.IsSupported)
                    AddPanel512(columns, shift, outlier.Value, columnScales, target);
                else
                    AddPanel256(columns, shift, outlier.Value, columnScales, target);
            }
        }
    }

    /// <summary>One outlier over a panel.</summary>
    /// <param name="columns">[32] the four weights of each column that the outlier's is one of.</param>
    /// <param name="shift">Bits below it.</param>
    /// <param name="value">The outlier's value.</param>
    /// <param name="scales">[32] bfloat16.</param>
    /// <param name="y">[32].</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddPanel512(int* columns, int shift, float value, ushort* scales, float* y)
    {
        for (var column = 0; column < PanelLayout.Columns; column += Vector512<float>.Count)
        {
            var weight = Vector512.ConvertToSingle(((Vector512.Load(columns + column) >>> shift) & Vector512.Create(0xFF)) - Vector512.Create(PanelLayout.Offset));
            var scale = Vector512.Create(value) * Bf16.Load16(scales + column);
            Vector512.FusedMultiplyAdd(weight, scale, Vector512.Load(y + column)).Store(y + column);
        }
    }

    /// <inheritdoc cref="AddPanel512"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddPanel256(int* columns, int shift, float value, ushort* scales, float* y)
    {
        for (var column = 0; column < PanelLayout.Columns; column += Vector256<float>.Count)
        {
            var weight = Vector256.ConvertToSingle(((Vector256.Load(columns + column) >>> shift) & Vector256.Create(0xFF)) - Vector256.Create(PanelLayout.Offset));
            var scale = Vector256.Create(value) * Bf16.Load8(scales + column);
            Vector256.FusedMultiplyAdd(weight, scale, Vector256.Load(y + column)).Store(y + column);
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
