using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Layers;

/// <summary>The expert feed-forward against double precision, and what must not change its bits.</summary>
[Collection(nameof(CpuExpertFeedForwardTests))]
public unsafe class CpuExpertFeedForwardTests
{
    // Relative to the RMS of the output. float32 sums of at most 176 terms; bfloat16 weights of 8 bits; hidden
    // activations, like the input, in steps of 1 / 254 of a block's largest; int4 weights off by 8 % of theirs, three in a row.
    private const double ExactTolerance = 1e-5, BFloat16Tolerance = 2e-2, FastTolerance = 3e-2, Int4Tolerance = 0.2;

    [Theory]
    [InlineData(WeightFormat.Int8, ActivationFormat.Float32, ExactTolerance)]
    [InlineData(WeightFormat.Float32, ActivationFormat.Float32, ExactTolerance)]
    [InlineData(WeightFormat.BFloat16, ActivationFormat.Float32, BFloat16Tolerance)]
    [InlineData(WeightFormat.Int8, ActivationFormat.Int8Blocks, FastTolerance)]
    [InlineData(WeightFormat.Int4, ActivationFormat.Float32, Int4Tolerance)]
    [InlineData(WeightFormat.Int4, ActivationFormat.Int8Blocks, Int4Tolerance)]
    public void Gated_experts_agree_with_double_precision(WeightFormat weights, ActivationFormat activations, double tolerance)
    {
        using var fixture = new ExpertFixture(weights);
        using var pool = new ComputePool(2, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, activations);
        var inputs = fixture.RandomRows(9, 1);
        using var x = fixture.Rows(inputs, activations);
        TileWork[] work = [new(fixture.Tile(0), 0, 1), new(fixture.Tile(3), 1, 4), new(fixture.Tile(7), 5, 8)];
        int[] rows = [2, 0, 2, 5, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        float[] gates = [.. rows.Select((row, i) => 0.1f + 0.07f * i)];
        var sum = Run(feedForward, fixture, work, x, rows, gates);

        double error = 0, power = 0;
        for (var row = 0; row < inputs.Length; row++)
        {
            var expected = new double[fixture.EmbeddingDim];
            foreach (var item in work)
                for (var i = item.First; i < item.First + item.Count; i++)
                    if (rows[i] == row)
                    {
                        var y = fixture.Reference(item.Tile.Slice.Expert, inputs[row], 0, fixture.FeedForwardDim);
                        for (var column = 0; column < y.Length; column++)
                            expected[column] += gates[i] * y[column];
                    }
            for (var column = 0; column < expected.Length; column++)
            {
                error += Math.Pow(sum[row * fixture.EmbeddingDim + column] - expected[column], 2);
                power += Math.Pow(expected[column], 2);
            }
        }
        Assert.True(power > 0);
        Assert.InRange(Math.Sqrt(error / power), 0, tolerance);
    }

    [Fact]
    public void Slices_agree_with_double_precision_each_and_add_up_to_the_whole()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(2, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Float32);
        var inputs = fixture.RandomRows(3, 2);
        using var x = fixture.Rows(inputs, ActivationFormat.Float32);
        int[] cuts = [0, 32, 96, 160, 176], rows = [0, 1, 2];
        float[] gates = [1f, 1f, 1f];
        var total = new double[3 * fixture.EmbeddingDim];
        for (var slice = 0; slice + 1 < cuts.Length; slice++)
        {
            var part = Run(feedForward, fixture, [new(fixture.Tile(5, cuts[slice], cuts[slice + 1]), 0, 3)], x, rows, gates);
            for (var row = 0; row < 3; row++)
                Near(fixture.Reference(5, inputs[row], cuts[slice], cuts[slice + 1]), part.AsSpan(row * fixture.EmbeddingDim, fixture.EmbeddingDim));
            for (var i = 0; i < total.Length; i++)
                total[i] += part[i];
        }
        var whole = Run(feedForward, fixture, [new(fixture.Tile(5), 0, 3)], x, rows, gates);
        Near(total, whole);
    }

    [Theory]
    [InlineData(WeightFormat.Int8, ActivationFormat.Float32)]
    [InlineData(WeightFormat.Int8, ActivationFormat.Int8Blocks)]
    [InlineData(WeightFormat.Int4, ActivationFormat.Float32)]
    [InlineData(WeightFormat.Int4, ActivationFormat.Int8Blocks)]
    [InlineData(WeightFormat.BFloat16, ActivationFormat.Float32)]
    public void Threads_and_the_rows_that_share_a_call_do_not_change_a_bit(WeightFormat weights, ActivationFormat activations)
    {
        const int Rows = 11;
        using var fixture = new ExpertFixture(weights);
        using var x = fixture.Rows(fixture.RandomRows(Rows, 3), activations);
        var width = fixture.EmbeddingDim;
        int[] all = [.. Enumerable.Range(0, Rows)];
        float[] gates = [.. all.Select(row => 0.3f + 0.05f * row)];
        TileWork[] Work(int count) => [new(fixture.Tile(1, 0, 96), 0, count), new(fixture.Tile(1, 96), 0, count), new(fixture.Tile(4), 0, count)];
        float[]? expected = null;
        foreach (var threads in (int[])[1, 2, 3])
        {
            using var pool = new ComputePool(threads, spin: false);
            using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, activations);
            var together = Run(feedForward, fixture, Work(Rows), x, all, gates);
            expected ??= together;
            SameBits(expected, together, $"{threads} threads");
            foreach (var subset in (int[][])[[4], [10, 0], [3, 1, 2], [9, 8, 7, 6, 5, 4, 3]])
            {
                var few = Run(feedForward, fixture, Work(subset.Length), x, subset, [.. subset.Select(row => gates[row])]);
                foreach (var row in subset)
                    SameBits(expected.AsSpan(row * width, width), few.AsSpan(row * width, width), $"row {row} of {subset.Length} on {threads} threads");
            }
        }
    }

    [Fact]
    public void A_tile_gives_the_same_bits_mapped_and_copied()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(1, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Int8Blocks);
        using var x = fixture.Rows(fixture.RandomRows(2, 9), ActivationFormat.Int8Blocks);
        using var copied = fixture.Store.OpenTile(new ExpertSlice(0, 3, 32, 160));
        copied.Load(new WeightMemory(WeightPages.Copied), CancellationToken.None);
        var expected = Run(feedForward, fixture, [new(fixture.Tile(3, 32, 160), 0, 2)], x, [0, 1], [0.5f, 0.25f]);
        SameBits(expected, Run(feedForward, fixture, [new(copied, 0, 2)], x, [0, 1], [0.5f, 0.25f]), "copied");
    }

    [Fact]
    public void Results_are_added_to_what_the_sum_holds_and_other_rows_are_left_alone()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(1, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Float32);
        using var x = fixture.Rows(fixture.RandomRows(3, 4), ActivationFormat.Float32);
        TileWork[] work = [new(fixture.Tile(2), 0, 1)];
        var once = Run(feedForward, fixture, work, x, [1], [0.5f]);
        var sum = Enumerable.Repeat(8f, once.Length).ToArray();
        fixed (float* s = sum)
            feedForward.Accumulate(work, x, [1], [0.5f], s);
        for (var i = 0; i < sum.Length; i++)
            if (i / fixture.EmbeddingDim == 1)
                Assert.Equal(8f + once[i], sum[i], 1e-5f);
            else
                Assert.Equal(8f, sum[i]);
    }

    [Theory]
    [InlineData(1, WeightFormat.Int8)]
    [InlineData(3, WeightFormat.Int8)]
    [InlineData(3, WeightFormat.Int4)]
    public void A_call_allocates_nothing_in_steady_state(int threads, WeightFormat weights)
    {
        using var fixture = new ExpertFixture(weights);
        using var pool = new ComputePool(threads, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Int8Blocks);
        var executor = new BundleExecutor(feedForward);
        using var x = fixture.Rows(fixture.RandomRows(8, 5), ActivationFormat.Int8Blocks);
        ExpertTile[] tiles = [fixture.Tile(0), fixture.Tile(1), fixture.Tile(2)];
        int[] experts = [0, 1, 1, 2, 5, 6, 0, 2, 1, 0, 2, 1, 7, 0, 1, 2];
        var gates = Enumerable.Repeat(0.5f, experts.Length).ToArray();
        var sum = new float[8 * fixture.EmbeddingDim];
        // A thread's scratch is made when it first takes a part, which no call can force: the least of several rounds counts.
        var least = long.MaxValue;
        for (var round = 0; round < 20; round++)
        {
            var before = GC.GetTotalAllocatedBytes(precise: true);
            fixed (float* s = sum)
                for (var call = 0; call < 10; call++)
                    executor.Run(tiles, x, experts, gates, s);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - before);
        }
        Assert.Equal(0, least);
    }

    [Fact]
    public void Wrong_activations_and_work_beyond_the_pairs_are_refused()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(1, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Int8Blocks);
        using var floats = fixture.Rows(fixture.RandomRows(2, 6), ActivationFormat.Float32);
        using var x = fixture.Rows(fixture.RandomRows(2, 6), ActivationFormat.Int8Blocks);
        Assert.Contains("Float32", Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [new(fixture.Tile(0), 0, 1)], floats, [0], [1f])).Message);
        Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [new(fixture.Tile(0), 1, 1)], x, [0], [1f]));
        Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [new(fixture.Tile(0), 0, 0)], x, [0], [1f]));
        Assert.Contains("row 2", Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [new(fixture.Tile(0), 0, 1)], x, [2], [1f])).Message);
    }

    internal static float[] Run(IExpertFeedForward feedForward, ExpertFixture fixture, ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates)
    {
        var sum = new float[x.Rows * fixture.EmbeddingDim];
        fixed (float* s = sum)
            feedForward.Accumulate(work, x, rows, gates, s);
        return sum;
    }

    internal static void SameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        for (var i = 0; i < expected.Length; i++)
            Assert.True(BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]), $"{what}: element {i} is {actual[i]:R}, expected {expected[i]:R}");
    }

    private static void Near(double[] expected, ReadOnlySpan<float> actual)
    {
        var rms = Math.Sqrt(expected.Sum(value => value * value) / expected.Length);
        for (var i = 0; i < expected.Length; i++)
            Assert.InRange(Math.Abs(expected[i] - actual[i]), 0, ExactTolerance * rms);
    }
}

/// <summary>Alone, because one of its tests counts what the whole process allocates.</summary>
[CollectionDefinition(nameof(CpuExpertFeedForwardTests), DisableParallelization = true)]
public sealed class CpuExpertFeedForwardCollection;
