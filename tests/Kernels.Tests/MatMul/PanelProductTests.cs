using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>Every path of every panel product against its scalar twin and against double precision.</summary>
public unsafe class PanelProductTests
{
    /// <summary>Length, weight groups, width of expert blocks; 176 over 8 groups are groups of 22, cut by the edges of blocks.</summary>
    private static readonly (int Length, int Groups, int? Width)[] Axes =
    [
        (1, 1, null), (3, 1, null), (4, 1, null), (5, 1, null), (31, 1, null), (64, 2, null), (96, 1, 32), (127, 1, null), (128, 8, null), (129, 1, null),
        (176, 8, null), (176, 8, 32), (176, 8, 128), (1000, 1, null), (1000, 8, 128), (128, 1, null), (640, 1, 128), (1024, 4, 128),
    ];

    [Fact]
    public void Every_path_has_the_bits_of_the_scalar_twin_on_every_axis()
    {
        foreach (var (length, groups, width) in Axes)
            Compare(length, groups, width, columns: 33, rows: 7);
    }

    [Fact]
    public void Every_path_has_the_bits_of_the_scalar_twin_at_every_number_of_columns()
    {
        foreach (var columns in (int[])[.. Enumerable.Range(1, 33), 64, 100])
            Compare(176, 8, 32, columns, rows: 6);
    }

    [Theory]
    [InlineData(176, 8, 32, 33)]
    [InlineData(384, 1, null, 70)]
    public void A_row_has_the_bits_of_the_scalar_twin_among_any_others(int length, int groups, int? width, int rowCount)
    {
        foreach (var product in ProductPaths.All)
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, length, groups, width, 40, rowCount);
            var columns = PanelLayout.PaddedColumns(40);
            var alone = Enumerable.Range(0, rowCount).Select(row => fixture.Run(product.Scalar, [row])).ToArray();
            foreach (var (name, kernel) in product.Paths)
            {
                for (var count = 1; count <= rowCount; count++)
                {
                    var random = new Random(count);
                    int[][] choices = [[.. Enumerable.Range(0, count)], [.. Enumerable.Range(0, count).Select(_ => random.Next(rowCount))], [.. Enumerable.Range(rowCount - count, count).Reverse()]];
                    foreach (var rows in choices)
                    {
                        var together = fixture.Run(kernel, rows);
                        for (var i = 0; i < count; i++)
                            TestNumbers.SameBits(alone[rows[i]], together.AsSpan(i * columns, columns), $"{product.Name}, {name}: row {rows[i]} as number {i} of {count}");
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(1000, 8)]
    [InlineData(1024, 4)]
    public void Two_runs_of_blocks_one_after_the_other_have_the_bits_of_one_run(int length, int groups)
    {
        foreach (var product in ProductPaths.All)
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, length, groups, 128, 32, 5);
            int[] rows = [0, 1, 2, 3, 4];
            foreach (var (name, kernel) in product.Paths)
            {
                var whole = fixture.Run(kernel, rows);
                for (var cut = 1; cut < fixture.Axis.BlockCount; cut += 3)
                {
                    var parts = fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                    {
                        var block = w.Blocks[cut];
                        kernel(w with { EndBlock = cut }, x, r, count, y, stride);
                        var rest = w with { FirstBlock = cut };
                        rest.Weights += PanelLayout.PanelBytes(product.Weights, block.PaddedStart);
                        if (w.Scales is not null)
                        {
                            rest.Scales += (long)block.Group * w.ScaleStride;
                            rest.FirstGroup = block.Group;
                        }
                        kernel(rest, x, r, count, y, stride);
                    }, rows);
                    TestNumbers.SameBits(whole, parts, $"{product.Name}, {name}: cut at block {cut}");
                }
            }
        }
    }

    [Theory]
    [InlineData(1000, 8)]
    [InlineData(1024, 4)]
    public void Runs_whose_weights_lie_apart_have_the_bits_of_one_run(int length, int groups)
    {
        foreach (var product in ProductPaths.All)
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, length, groups, 128, 96, 41);
            const int Panels = 3;
            foreach (var rows in (int[][])[[4], [.. Enumerable.Range(0, 8)], [.. Enumerable.Range(0, 41).Reverse()]])
            {
                var whole = fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                    PanelProduct.Accumulate(product.Weights, w, x, r, count, y, stride), rows);
                var calls = 0;
                var apart = fixture.Run((in PanelOperands last, Activations x, int* r, int count, float* y, long stride) =>
                {
                    // Only now has every panel of the result its start.
                    if (++calls < Panels)
                        return;
                    var w = fixture.Matrix.Panel(0);
                    // Each block's panels together, the blocks anywhere.
                    var moved = new List<byte[]>();
                    var runs = new PanelOperands[fixture.Axis.BlockCount];
                    for (var b = 0; b < runs.Length; b++)
                    {
                        var block = w.Blocks[b];
                        var bytes = (int)PanelLayout.PanelBytes(product.Weights, block.PaddedLength);
                        var copy = GC.AllocateUninitializedArray<byte>(Panels * bytes, pinned: true);
                        for (var panel = 0; panel < Panels; panel++)
                            new ReadOnlySpan<byte>(fixture.Matrix.Panel(panel).Weights + PanelLayout.PanelBytes(product.Weights, block.PaddedStart), bytes).CopyTo(copy.AsSpan(panel * bytes));
                        moved.Add(copy);
                        runs[b] = w with { Weights = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(copy, 0), PanelBytes = bytes, FirstBlock = b, EndBlock = b + 1, FirstGroup = block.Group };
                        if (w.Scales is not null)
                            runs[b].Scales += (long)block.Group * w.ScaleStride;
                    }
                    var result = y - (Panels - 1) * PanelLayout.Columns;
                    if (RowTiles.AreFor(x.Axis, product.Weights, product.Activations, count))
                        ProductPaths.AccumulateTiles(runs, Panels, x, r, count, result, stride, PanelLayout.Columns);
                    else
                        PanelProduct.AccumulateRuns(product.Weights, runs, Panels, x, r, count, result, stride, PanelLayout.Columns);
                    GC.KeepAlive(moved);
                }, rows);
                TestNumbers.SameBits(whole, apart, $"{product.Name}: {rows.Length} rows");
            }
        }
    }

    [Fact]
    public void Every_product_agrees_with_double_precision_of_the_same_operands()
    {
        // float32 sums of n terms are off by at most n * 2^-24 of the sum of magnitudes; random errors stay far below.
        const double Tolerance = 2e-6;
        foreach (var product in ProductPaths.All)
            foreach (var (length, groups, width) in ((int, int, int?)[])[(5, 1, null), (176, 8, 32), (1000, 8, 128)])
            {
                const int Columns = 33;
                using var fixture = new ProductFixture(product.Weights, product.Activations, length, groups, width, Columns, 6);
                var y = fixture.Run(product.Paths[0].Kernel, [0, 1, 2, 3, 4, 5]);
                for (var row = 0; row < 6; row++)
                {
                    double[] seen = [.. Enumerable.Range(0, length).Select(k => fixture.Seen(row, k))];
                    for (var column = 0; column < Columns; column++)
                    {
                        double sum = ProductFixture.Start(column), magnitude = sum;
                        for (var k = 0; k < length; k++)
                        {
                            sum += seen[k] * fixture.Dense[k, column];
                            magnitude += Math.Abs(seen[k] * fixture.Dense[k, column]);
                        }
                        var actual = y[row * PanelLayout.PaddedColumns(Columns) + column];
                        Assert.True(Math.Abs(actual - sum) <= Tolerance * magnitude, $"{product.Name} over {length}: row {row} column {column} is {actual:R}, expected {sum:R}");
                    }
                }
            }
    }

    [Fact]
    public void Columns_beyond_the_matrix_keep_what_they_held()
    {
        foreach (var product in ProductPaths.All)
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, 176, 8, 32, 35, 4);
            var y = fixture.Run(product.Paths[0].Kernel, [0, 1, 2, 3]);
            for (var row = 0; row < 4; row++)
                for (var column = 35; column < 64; column++)
                    Assert.Equal(ProductFixture.Start(column), y[row * 64 + column]);
        }
    }

    [Fact]
    public void Int4_weights_have_the_bits_of_int8_weights_with_the_same_values()
    {
        foreach (var activations in (ActivationFormat[])[ActivationFormat.Float32, ActivationFormat.Int8Blocks])
        {
            using var fixture = new ProductFixture(WeightFormat.Int4, activations, 1000, 0, 128, 33, 5);
            foreach (var rows in (int[][])[[3], [0, 1, 2, 3, 4]])
            {
                var expected = fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                {
                    var length = x.Axis.PaddedLength;
                    var int8 = stackalloc byte[length * PanelLayout.Columns];
                    for (var k = 0; k < length; k++)
                        for (var column = 0; column < PanelLayout.Columns; column++)
                            int8[(k / 4 * PanelLayout.Columns + column) * 4 + k % 4] =
                                (byte)(Int4BlockProduct.WeightAt(w.Weights + k / 32 * PanelLayout.Int4BlockBytes, k % 32, column) + PanelLayout.Offset);
                    var scales = (ushort*)(w.Weights + PanelLayout.Int4WeightBytes);
                    PanelProduct.Accumulate(WeightFormat.Int8, w with { Weights = int8, Scales = scales, ScaleStride = PanelLayout.Int4BlockBytes / 2 }, x, r, count, y, stride);
                }, rows);
                TestNumbers.SameBits(expected, fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                    PanelProduct.Accumulate(WeightFormat.Int4, w, x, r, count, y, stride), rows), $"{activations}, {rows.Length} rows");
            }
        }
    }

    [Fact]
    public void A_strip_of_panels_has_the_bits_of_its_panels_one_by_one()
    {
        foreach (var product in ProductPaths.All)
            foreach (var panels in (int[])[2, 3, 4])
            {
                using var fixture = new ProductFixture(product.Weights, product.Activations, 176, 8, 32, panels * PanelLayout.Columns - 28, 9);
                foreach (var rows in (int[][])[[2], [3, 0], [0, 1, 2, 3], [8, 1, 5, 3, 0], [0, 1, 2, 3, 4, 5, 6, 7, 8]])
                {
                    var expected = fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                        PanelProduct.Accumulate(product.Weights, w, x, r, count, y, stride), rows);
                    var calls = 0;
                    var strip = fixture.Run((in PanelOperands w, Activations x, int* r, int count, float* y, long stride) =>
                    {
                        // Only now has every panel of the result its start.
                        if (++calls == panels)
                            PanelProduct.AccumulateStrip(product.Weights, fixture.Matrix.Panel(0), panels, x, r, count, y - (panels - 1) * PanelLayout.Columns, stride, PanelLayout.Columns);
                    }, rows);
                    TestNumbers.SameBits(expected, strip, $"{product.Name}, {rows.Length} rows, {panels} panels");
                }
            }
    }

    [Fact]
    public void Quantised_activations_and_float_weights_are_refused()
    {
        using var fixture = new ProductFixture(WeightFormat.BFloat16, ActivationFormat.Int8Blocks, 64, 1, null, 32, 1);
        var error = Assert.Throws<ArgumentException>(() => fixture.Run((in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
            PanelProduct.Accumulate(WeightFormat.BFloat16, w, x, rows, count, y, stride), [0]));
        Assert.Contains("BFloat16", error.Message);
    }

    [Theory]
    [InlineData(10_000, 5)]
    [InlineData(600, 140)]
    public void Long_axes_and_many_rows_have_the_bits_of_the_scalar_twin(int length, int rows)
    {
        foreach (var product in (ProductPaths.Product[])[ProductPaths.Int8Blocks, ProductPaths.Int4Blocks])
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, length, 1, null, 33, rows);
            int[] chosen = [.. Enumerable.Range(0, rows).Reverse()];
            var expected = fixture.Run(product.Scalar, chosen);
            foreach (var (name, kernel) in product.Paths)
                TestNumbers.SameBits(expected, fixture.Run(kernel, chosen), $"{product.Name}, {name}: {rows} rows, axis {length}");
        }
    }

    private static void Compare(int length, int groups, int? width, int columns, int rows)
    {
        foreach (var product in ProductPaths.All)
        {
            using var fixture = new ProductFixture(product.Weights, product.Activations, length, groups, width, columns, rows);
            foreach (var count in (int[])[1, 2, 3, rows])
            {
                int[] chosen = [.. Enumerable.Range(0, count).Select(i => (i * 3 + 1) % rows)];
                var expected = fixture.Run(product.Scalar, chosen);
                Assert.All(expected, value => Assert.True(float.IsFinite(value)));
                foreach (var (name, kernel) in product.Paths)
                    TestNumbers.SameBits(expected, fixture.Run(kernel, chosen), $"{product.Name}, {name}: {count} rows, axis {length} in {groups} groups, blocks {width}, {columns} columns");
            }
        }
    }
}
