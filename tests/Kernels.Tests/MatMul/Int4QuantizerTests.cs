using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Tests.MatMul;

public unsafe class Int4QuantizerTests
{
    [Theory]
    [InlineData(32)]
    [InlineData(176)]
    [InlineData(7)]
    public void No_scale_of_a_fine_grid_is_much_better_than_the_one_found(int length)
    {
        var source = TestNumbers.Normal(length * PanelLayout.Columns, length);
        var (axis, values, scales) = Quantise(source, length);
        using var _ = axis;
        double found = 0, best = 0, nearest = 0;
        for (var group = 0; group < axis.Groups; group++)
            for (var column = 0; column < PanelLayout.Columns; column++)
            {
                double[] weights = [.. Enumerable.Range(group * 32, Math.Min(32, length - group * 32)).Select(k => (double)source[k * PanelLayout.Columns + column])];
                var scale = Bf16.Widen(scales[group * PanelLayout.Columns + column]);
                var largest = weights.MaxBy(Math.Abs);
                for (var k = 0; k < weights.Length; k++)
                    Assert.InRange(values[(group * 32 + k) * PanelLayout.Columns + column], -8, 7);
                found += weights.Select((weight, k) => Math.Pow(values[(group * 32 + k) * PanelLayout.Columns + column] * scale - weight, 2)).Sum();
                best += Enumerable.Range(400, 600).Min(n => Error(weights, -largest / n * 100));
                nearest += Error(weights, Math.Abs(largest) / 7);
            }
        Assert.InRange(found, 0, 1.05 * best + 1e-9);
        Assert.InRange(found, 0, 0.85 * nearest + 1e-9);

        static double Error(double[] weights, double scale) => weights.Sum(weight => Math.Pow(Math.Clamp(Math.Round(weight / scale), -8, 7) * scale - weight, 2));
    }

    [Fact]
    public void Weights_that_four_bits_can_hold_are_kept_exactly()
    {
        var source = new float[64 * PanelLayout.Columns];
        for (var i = 0; i < source.Length; i++)
            source[i] = (i / PanelLayout.Columns * 5 + i % PanelLayout.Columns) % 16 * 0.5f - 4f;
        var (axis, values, scales) = Quantise(source, 64);
        using var _ = axis;
        for (var i = 0; i < source.Length; i++)
            Assert.Equal(source[i], values[i] * Bf16.Widen(scales[i / PanelLayout.Columns / 32 * PanelLayout.Columns + i % PanelLayout.Columns]));
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(1e-38f)]
    [InlineData(3e38f)]
    [InlineData(-3e38f)]
    [InlineData(1e-25f)]
    public void Groups_of_any_magnitude_get_a_scale_that_is_finite_and_not_zero(float magnitude)
    {
        var source = TestNumbers.Normal(32 * PanelLayout.Columns, 1);
        var largest = source.Max(Math.Abs);
        for (var i = 0; i < source.Length; i++)
            source[i] = source[i] / largest * magnitude;
        var (axis, values, scales) = Quantise(source, 32);
        using var _ = axis;
        for (var column = 0; column < PanelLayout.Columns; column++)
        {
            var scale = Bf16.Widen(scales[column]);
            Assert.True(float.IsFinite(scale) && scale != 0);
            for (var k = 0; k < 32; k++)
                if (Math.Abs(magnitude) < 1e-30f)
                    Assert.Equal((0, 1f), (values[k * PanelLayout.Columns + column], scale));
                else
                    Assert.InRange(Math.Abs(values[k * PanelLayout.Columns + column] * (double)scale - source[k * PanelLayout.Columns + column]), 0, 0.2 * Math.Abs((double)magnitude));
        }
    }

    private static (ReductionAxis Axis, sbyte[] Values, ushort[] Scales) Quantise(float[] source, int length)
    {
        var axis = new ReductionAxis(length, WeightFormats.Int4Groups(length), null, WeightFormat.Int4);
        var values = new sbyte[source.Length];
        var scales = new ushort[axis.Groups * PanelLayout.Columns];
        fixed (float* from = source)
        fixed (sbyte* to = values)
        fixed (ushort* s = scales)
            Int4Quantizer.QuantizePanel(from, axis.Blocks, to, s);
        return (axis, values, scales);
    }
}
