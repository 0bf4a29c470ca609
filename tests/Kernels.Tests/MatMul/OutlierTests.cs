using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>Activations that dominate their block: what they cost, and that their products have the same bits everywhere.</summary>
public unsafe class OutlierTests
{
    /// <summary>What fast may cost of the output's RMS.</summary>
    /// <summary>What channels of 50 and 100 sigma may cost of the output's RMS.</summary>
    private const double Promise = 0.015;

    /// <summary>1 / sqrt(12) of a step, where the values have an RMS of 16 steps.</summary>
    private const double WorstBlock = 0.0181;

    [Theory]
    [InlineData(6144, WeightFormat.Int8, 0.005)]
    [InlineData(32768, WeightFormat.Int8, 0.0075)]
    [InlineData(6144, WeightFormat.Int4, 0.012)]
    [InlineData(32768, WeightFormat.Int4, 0.012)]
    public void Channels_of_50_and_100_sigma_cost_less_than_one_and_a_half_percent_of_the_output_on_every_path(int length, WeightFormat format, double limit)
    {
        Assert.True(limit < Promise);
        const int Columns = 96, Rows = 9;
        var product = format == WeightFormat.Int8 ? ProductPaths.Int8Blocks : ProductPaths.Int4Blocks;
        using var fixture = new ProductFixture(format, ActivationFormat.Int8Blocks, length, 8, null, Columns, Rows, extremes: false);
        for (var row = 0; row < Rows; row++)
        {
            fixture.Inputs[row][500 * row + 100] = 100;
            // In the last row both are in one block.
            fixture.Inputs[row][row == Rows - 1 ? 500 * row + 97 : 5000 - 333 * row] = -50;
            fixture.X.Set(row, fixture.Inputs[row]);
        }
        var expected = new double[Rows, Columns];
        for (var row = 0; row < Rows; row++)
            for (var k = 0; k < length; k++)
                for (var column = 0; column < Columns; column++)
                    expected[row, column] += fixture.Inputs[row][k] * fixture.Dense[k, column];
        foreach (var (name, kernel) in product.Paths)
            foreach (var rows in (int[][])[[8], [0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8]])
            {
                var y = fixture.Run(kernel, rows);
                double error = 0, power = 0;
                for (var i = 0; i < rows.Length; i++)
                    for (var column = 0; column < Columns; column++)
                    {
                        error += Math.Pow(y[i * Columns + column] - ProductFixture.Start(column) - expected[rows[i], column], 2);
                        power += Math.Pow(expected[rows[i], column], 2);
                    }
                Assert.True(Math.Sqrt(error / power) < limit, $"{product.Name}, {name}, {rows.Length} rows over {length}: {Math.Sqrt(error / power):P2}");
            }
    }

    [Fact]
    public void No_block_is_off_by_more_than_1_8_percent_of_its_rms_whatever_it_holds()
    {
        foreach (var (length, format) in ((int, WeightFormat)[])[(128, WeightFormat.Int8), (100, WeightFormat.Int8), (64, WeightFormat.Int8), (63, WeightFormat.Int8), (32, WeightFormat.Int4)])
        {
            using var axis = new ReductionAxis(length, 1, null, format);
            using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
            activations.Resize(1);
            foreach (var (kind, make) in Kinds)
            {
                double error = 0, power = 0;
                for (var seed = 0; seed < 200; seed++)
                {
                    var x = make(length, seed);
                    activations.Set(0, x);
                    power += x.Sum(value => (double)value * value);
                    error += Enumerable.Range(0, length).Sum(k => Math.Pow(x[k] - Seen(activations, k), 2));
                }
                Assert.True(Math.Sqrt(error / power) < WorstBlock, $"{kind}, {length} values: {Math.Sqrt(error / power):P2}");
            }
        }
    }

    [Fact]
    public void Normal_rows_and_short_blocks_have_no_outliers()
    {
        using var axis = new ReductionAxis(6144, 8);
        using var narrow = new ReductionAxis(6144, 192, null, WeightFormat.Int4);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        using var few = new Activations(narrow, ActivationFormat.Int8Blocks);
        activations.Resize(1);
        few.Resize(1);
        for (var seed = 0; seed < 200; seed++)
        {
            var x = TestNumbers.Normal(6144, seed, 1 + seed);
            activations.Set(0, x);
            Assert.Equal(0, activations.CountOutliers(0));
            x[seed] = 1e6f;
            activations.Set(0, x);
            Assert.Equal(1, activations.CountOutliers(0));
            few.Set(0, x);
            Assert.Equal(0, few.CountOutliers(0));
        }
    }

    [Fact]
    public void An_outlier_is_kept_exactly_and_the_rest_of_its_block_has_the_scale_that_it_has_alone()
    {
        using var axis = new ReductionAxis(1000, 1);
        using var activations = new Activations(axis, ActivationFormat.Int8Blocks);
        activations.Resize(3);
        var x = TestNumbers.Normal(1000, 4);
        (x[300], x[290]) = (-77.25f, 1234.5f);
        activations.Set(2, x);
        Assert.Equal([new Outlier(290, 1234.5f), new Outlier(300, -77.25f)], activations.OutliersOf(2, 2).ToArray());
        (x[300], x[290]) = (0, 0);
        activations.Set(1, x);
        Assert.Equal(0, activations.CountOutliers(1));
        Assert.True(new Span<sbyte>(activations.Values + 1000, 1000).SequenceEqual(new Span<sbyte>(activations.Values + 2000, 1000)));
        TestNumbers.SameBits(new Span<float>(activations.Scales + axis.BlockCount, axis.BlockCount), new Span<float>(activations.Scales + 2 * axis.BlockCount, axis.BlockCount), "scales");
        Assert.True(new Span<int>(activations.Sums + axis.BlockCount, axis.BlockCount).SequenceEqual(new Span<int>(activations.Sums + 2 * axis.BlockCount, axis.BlockCount)));
    }

    [Fact]
    public void A_row_with_outliers_has_the_same_bits_alone_and_among_any_others_on_every_path()
    {
        const int Rows = 19;
        using var fixture = Fixture(1000, 8, 128, 40, Rows);
        var width = PanelLayout.PaddedColumns(40);
        var expected = Enumerable.Range(0, Rows).Select(row => fixture.Run(ProductPaths.Int8Blocks.Scalar, [row])).ToArray();
        foreach (var (name, kernel) in ProductPaths.Int8Blocks.Paths)
            for (var count = 1; count <= Rows; count++)
            {
                int[] rows = [.. Enumerable.Range(0, count).Select(i => (i * 7 + count) % Rows)];
                var together = fixture.Run(kernel, rows);
                for (var i = 0; i < count; i++)
                    TestNumbers.SameBits(expected[rows[i]], together.AsSpan(i * width, width), $"{name}: row {rows[i]} as number {i} of {count}");
            }
    }

    [Fact]
    public void Outliers_come_after_all_blocks_so_it_does_not_matter_how_blocks_and_panels_were_cut()
    {
        const int Panels = 3;
        using var fixture = Fixture(1000, 8, 128, Panels * PanelLayout.Columns, 6);
        int[] rows = [5, 0, 2, 4];
        var whole = fixture.Run(ProductPaths.Int8Blocks.Scalar, rows);
        for (var cut = 1; cut < fixture.Axis.BlockCount; cut++)
        {
            var calls = 0;
            var parts = fixture.Run((in PanelOperands _, Activations x, int* r, int count, float* y, long stride) =>
            {
                if (++calls < Panels)
                    return;
                y -= (Panels - 1) * PanelLayout.Columns;
                var (first, rest) = Cut(fixture.Matrix.Panel(0), cut);
                for (var panel = 0; panel < Panels; panel++)
                {
                    var (before, after) = Cut(fixture.Matrix.Panel(panel), cut);
                    PanelProduct.Accumulate(WeightFormat.Int8, before, x, r, count, y + panel * PanelLayout.Columns, stride);
                    PanelProduct.Accumulate(WeightFormat.Int8, after, x, r, count, y + panel * PanelLayout.Columns, stride);
                }
                foreach (var part in (PanelOperands[])[first, rest])
                    PanelProduct.AddOutliers(WeightFormat.Int8, part, Panels, x, r, count, y, stride, PanelLayout.Columns);
            }, rows);
            TestNumbers.SameBits(whole, parts, $"cut at block {cut}");
        }
    }

    [Fact]
    public void Outliers_from_elsewhere_are_those_that_were_found()
    {
        using var axis = new ReductionAxis(1000, 8, 128);
        using var found = new Activations(axis, ActivationFormat.Int8Blocks);
        using var copy = new Activations(axis, ActivationFormat.Int8Blocks);
        found.Resize(2);
        copy.Resize(4);
        found.Set(1, Kinds[1].Make(1000, 3));
        copy.Set(3, Kinds[2].Make(1000, 4));
        copy.Complete(3);
        Assert.Equal(0, copy.CountOutliers(3));
        var moved = new RowOutlier[found.CountOutliers(1)];
        Assert.True(moved.Length > 5);
        found.CopyOutliers(1, 3, moved);
        copy.AddOutliers(moved);
        for (var b = 0; b < axis.BlockCount; b++)
            Assert.Equal(found.OutliersOf(1, b).ToArray(), copy.OutliersOf(3, b).ToArray());
        var inOneBlock = Enumerable.Repeat(new RowOutlier(0, 999, 1), 4).ToArray();
        Assert.Throws<ArgumentException>(() => copy.AddOutliers(inOneBlock));
        Assert.Throws<ArgumentOutOfRangeException>(() => copy.AddOutliers([new RowOutlier(0, axis.PaddedLength, 1)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => copy.AddOutliers([new RowOutlier(4, 0, 1)]));
    }

    [Fact]
    public void Outliers_and_weights_whose_blocks_cannot_have_any_are_refused()
    {
        using var fixture = new ProductFixture(WeightFormat.Int4, ActivationFormat.Int8Blocks, 64, 0, null, 32, 1);
        fixture.X.AddOutliers([new RowOutlier(0, 3, 1)]);
        var error = Assert.Throws<ArgumentException>(() => fixture.Run((in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            PanelProduct.AddOutliers(WeightFormat.Int4, w, 1, x, rows, count, y, stride, 0), [0]));
        Assert.Contains("Int4", error.Message);
    }

    /// <summary>Rows by length and seed: nothing special, a few large ones, heavy tails, geometric series, mostly zeros.</summary>
    private static readonly (string Kind, Func<int, int, float[]> Make)[] Kinds =
    [
        ("normal", (length, seed) => TestNumbers.Normal(length, seed)),
        ("few large", (length, seed) => [.. TestNumbers.Normal(length, seed).Select((value, i) => (i * 7 + seed) % 53 == 0 ? value * (20 + seed) : value)]),
        ("heavy tail", (length, seed) => [.. TestNumbers.Normal(length, seed).Select(value => MathF.Pow(value, 3 + seed % 5 * 2))]),
        ("series", (length, seed) => [.. Enumerable.Range(0, length).Select(i => MathF.Pow(0.2f + seed % 16 * 0.05f, (i * 11 + seed) % length * 0.5f) * (1 + seed * 1e-3f))]),
        ("at the edge", (length, seed) => [.. TestNumbers.Normal(length, seed).Select((value, i) => i == seed % length ? 11 : value)]),
        ("mostly zeros", (length, seed) => [.. TestNumbers.Normal(length, seed).Select((value, i) => (i + seed) % 17 == 0 ? value : 0)]),
    ];

    private static double Seen(Activations x, int k)
    {
        foreach (var outlier in x.OutliersOf(0, 0))
            if (outlier.Position == k)
                return outlier.Value;
        return x.Values[k] * (double)x.Scales[0];
    }

    /// <summary>Every third row has outliers, in one block or in many.</summary>
    private static ProductFixture Fixture(int length, int groups, int? width, int columns, int rows)
    {
        var fixture = new ProductFixture(WeightFormat.Int8, ActivationFormat.Int8Blocks, length, groups, width, columns, rows);
        for (var row = 2; row < rows; row += 3)
        {
            var x = Kinds[1 + row % 2].Make(length, row);
            x[row * 31 % length] = 1e4f * x.Max(Math.Abs);
            fixture.X.Set(row, x);
            Assert.True(fixture.X.CountOutliers(row) > 0);
        }
        return fixture;
    }

    private static (PanelOperands Before, PanelOperands After) Cut(in PanelOperands w, int cut)
    {
        var block = w.Blocks[cut];
        var rest = w with { FirstBlock = cut, FirstGroup = block.Group };
        rest.Weights += PanelLayout.PanelBytes(WeightFormat.Int8, block.PaddedStart);
        rest.Scales += (long)block.Group * w.ScaleStride;
        return (w with { EndBlock = cut }, rest);
    }
}
