using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>Quantised activations, and the router that reads them before quantisation.</summary>
public unsafe class ActivationTests
{
    [Fact]
    public void The_quantiser_has_the_values_scales_and_sums_of_its_scalar_twin()
    {
        foreach (var (length, groups, width, format) in ((int, int, int?, WeightFormat)[])[
            (1, 1, null, WeightFormat.Int8), (7, 1, null, WeightFormat.Int8), (129, 1, null, WeightFormat.Int8), (176, 8, null, WeightFormat.Int8), (176, 8, 32, WeightFormat.Int8),
            (1000, 8, 128, WeightFormat.Int8), (6144, 8, null, WeightFormat.Int8), (1, 1, null, WeightFormat.Int4), (176, 6, 64, WeightFormat.Int4), (6144, 192, null, WeightFormat.Int4)])
            foreach (var (kind, x) in Rows(length))
            {
                using var axis = new ReductionAxis(length, groups, width, format);
                var fast = new Quantised(axis);
                var twin = new Quantised(axis);
                ActivationQuantizer.Quantize(x, axis, fast.Row);
                ActivationQuantizer.QuantizeScalar(x, axis, twin.Row);
                Assert.True(twin.Values.Span.SequenceEqual(fast.Values.Span), $"values of {kind} {length}");
                TestNumbers.SameBits(twin.Scales.Span, fast.Scales.Span, $"scales of {kind} {length}");
                Assert.True(twin.Sums.Span.SequenceEqual(fast.Sums.Span), $"sums of {kind} {length}");
                Assert.True(twin.OutlierCounts.Span.SequenceEqual(fast.OutlierCounts.Span), $"outliers of {kind} {length}");
                Assert.True(twin.Outliers.Span.SequenceEqual(fast.Outliers.Span), $"outliers of {kind} {length}");
            }
    }

    [Fact]
    public void A_quantised_value_is_off_by_at_most_half_a_step_of_its_own_block()
    {
        using var axis = new ReductionAxis(1000, 8);
        var x = TestNumbers.Normal(1000, 3);
        x[500] = 7; // Large, yet not so that it would be an outlier.
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        activations.Resize(1);
        activations.Set(0, x);
        for (var b = 0; b < axis.BlockCount; b++)
        {
            var block = axis.Blocks[b];
            var scale = activations.Scales[b];
            Assert.Equal(x.AsSpan(block.Start, block.Length).ToArray().Max(Math.Abs) / 127f, scale);
            for (var k = 0; k < block.Length; k++)
                Assert.InRange(Math.Abs(activations.Values[block.PaddedStart + k] * (double)scale - x[block.Start + k]), 0, scale * 0.50001);
        }
    }

    [Fact]
    public void Zeros_have_scale_zero_and_what_is_too_small_to_scale_becomes_zeros()
    {
        using var axis = new ReductionAxis(128, 1);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        activations.Resize(2);
        activations.Set(0, new float[128]);
        activations.Set(1, [.. Enumerable.Repeat(1e-38f, 128)]);
        Assert.Equal(0f, activations.Scales[0]);
        Assert.All(new Span<sbyte>(activations.Values, 256).ToArray(), value => Assert.Equal(0, value));
    }

    [Fact]
    public void Sums_can_be_made_from_values_that_came_from_elsewhere()
    {
        using var axis = new ReductionAxis(1000, 8, 128);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        activations.Resize(3);
        for (var row = 0; row < 3; row++)
            activations.Set(row, row == 1 ? [.. Enumerable.Repeat(5f, 1000)] : TestNumbers.Normal(1000, row));
        var sums = new Span<int>(activations.Sums, 3 * axis.BlockCount);
        var expected = sums.ToArray();
        sums.Clear();
        for (var row = 0; row < 3; row++)
            activations.Complete(row);
        Assert.Equal(expected, sums.ToArray());
    }

    [Fact]
    public void Blocks_stored_one_run_at_a_time_are_those_of_the_whole_row()
    {
        foreach (var format in (ActivationFormat[])[ActivationFormat.Float32, ActivationFormat.Int8Blocks])
        {
            using var axis = new ReductionAxis(176, 8, 32);
            using var whole = new Activations(axis, format);
            using var parts = new Activations(axis, format);
            whole.Resize(2);
            parts.Resize(2);
            var x = TestNumbers.Normal(176, 9);
            whole.Set(1, x);
            fixed (float* source = x)
                for (var b = 0; b < axis.BlockCount; b += 2)
                    parts.SetBlocks(1, b, Math.Min(b + 2, axis.BlockCount), source + axis.Blocks[b].Start);
            var bytes = 2 * axis.PaddedLength * (format == ActivationFormat.Float32 ? sizeof(float) : 1);
            var (a, b2) = format == ActivationFormat.Float32 ? ((nint)whole.Floats, (nint)parts.Floats) : ((nint)whole.Values, (nint)parts.Values);
            Assert.True(new Span<byte>((void*)a, bytes).SequenceEqual(new Span<byte>((void*)b2, bytes)));
        }
    }

    [Fact]
    public void A_row_of_the_wrong_length_and_a_row_out_of_range_are_refused_with_the_numbers()
    {
        using var axis = new ReductionAxis(64, 1);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        activations.Resize(2);
        Assert.Contains("63", Assert.Throws<ArgumentException>(() => activations.Set(0, new float[63])).Message);
        Assert.Throws<ArgumentException>(() => activations.Set(2, new float[64]));
        Assert.Throws<ArgumentException>(() => activations.Set(-1, new float[64]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(8)]
    [InlineData(13)]
    [InlineData(16)]
    public void Router_logits_have_the_bits_of_their_scalar_twin_and_agree_with_double_precision(int experts)
    {
        foreach (var n in TestNumbers.Lengths)
        {
            var (x, w) = (TestNumbers.Normal(n, n), TestNumbers.Normal(n * experts, n + 1));
            x[n / 3] = 100;
            var (expected, actual) = (new float[experts], new float[experts]);
            RouterLogits.ComputeScalar(x, w, expected);
            RouterLogits.Compute(x, w, actual);
            TestNumbers.SameBits(expected, actual, $"{experts} experts over {n}");
            for (var e = 0; e < experts; e++)
            {
                double sum = 0, magnitude = 0;
                for (var k = 0; k < n; k++)
                {
                    sum += (double)x[k] * w[k * experts + e];
                    magnitude += Math.Abs((double)x[k] * w[k * experts + e]);
                }
                Assert.InRange(Math.Abs(actual[e] - sum), 0, 1e-6 * magnitude);
            }
        }
    }

    private static IEnumerable<(string Kind, float[] X)> Rows(int length)
    {
        yield return ("normal", TestNumbers.Normal(length, length));
        yield return ("zeros", new float[length]);
        yield return ("huge", TestNumbers.Normal(length, 2, 1e37f));
        yield return ("tiny", TestNumbers.Normal(length, 3, 1e-30f));
        yield return ("subnormal", TestNumbers.Normal(length, 4, 1e-40f));
        yield return ("constant", [.. Enumerable.Repeat(-3f, length)]);
        yield return ("halves", [.. Enumerable.Range(0, length).Select(i => i == 0 ? 127f : i % 255 - 127 + 0.5f)]);
        yield return ("one value", [.. Enumerable.Range(0, length).Select(i => i == length / 2 ? -1e-3f : 0f)]);
        yield return ("outliers", [.. TestNumbers.Normal(length, 5).Select((value, i) => i % 61 == 0 ? value * 50 : i % 173 == 0 ? -70f : value)]);
        yield return ("heavy tail", [.. TestNumbers.Normal(length, 6).Select(value => value * value * value * value * value)]);
        yield return ("powers", [.. Enumerable.Range(0, length).Select(i => MathF.Pow(0.3f, (i * 5 + 3) % 128 % 60))]);
        yield return ("extremes", TestNumbers.WithExtremes(length, length));
    }

    private sealed class Quantised(ReductionAxis axis)
    {
        public NativeBuffer<sbyte> Values { get; } = new(axis.PaddedLength);

        public NativeBuffer<float> Scales { get; } = new(axis.BlockCount);

        public NativeBuffer<int> Sums { get; } = new(axis.BlockCount);

        public NativeBuffer<byte> OutlierCounts { get; } = new(axis.BlockCount);

        public NativeBuffer<Outlier> Outliers { get; } = new(axis.BlockCount * ActivationQuantizer.MaxOutliers);

        public QuantizedRow Row => new(Values.Pointer, Scales.Pointer, Sums.Pointer, OutlierCounts.Pointer, Outliers.Pointer);
    }
}
