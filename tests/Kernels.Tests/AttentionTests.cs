using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests;

public class AttentionTests
{
    private const float Multiplier = 0.3f;
    private const float Cap = 30;

    public static TheoryData<int, int, KvFormat> Geometries
    {
        get
        {
            var data = new TheoryData<int, int, KvFormat>();
            foreach (var format in Enum.GetValues<KvFormat>())
            {
                foreach (int headDim in new[] { 2, 16, 32, 48, 128 })
                    data.Add(headDim, 6, format);
                foreach (int group in new[] { 1, 2, 3, 4, 5, 7, 13 })
                    data.Add(16, group, format);
            }
            return data;
        }
    }

    [Theory, MemberData(nameof(Geometries))]
    public void A_row_has_the_bits_of_the_scalar_twin_at_every_context(int headDim, int group, KvFormat format)
    {
        var shape = Shape(headDim, group, format);
        using var cache = new KvCacheFixture(shape.Kv, 100, 1);
        var queries = Queries(shape, cache.Positions);
        foreach (int position in new[] { 0, 1, 30, 31, 32, 33, 63, 64, 95, 99 })
            for (int head = 0; head < shape.Kv.KvHeads; head++)
            {
                var expected = new float[shape.GroupDim];
                Attention.RowScalar(shape, cache.Blocks, head, position, Row(queries, shape, position, head), expected);
                TestNumbers.SameBits(expected, Attend(shape, cache, queries, head, position, 1), $"position {position}, KV head {head}");
            }
        Assert.True(cache.GuardsAreIntact());
    }

    [Theory, MemberData(nameof(Geometries))]
    public void A_row_has_the_same_bits_alone_and_in_every_chunking(int headDim, int group, KvFormat format)
    {
        var shape = Shape(headDim, group, format);
        using var cache = new KvCacheFixture(shape.Kv, 75, 2);
        var queries = Queries(shape, cache.Positions);
        const int Head = 1;
        var alone = Enumerable.Range(0, cache.Positions).SelectMany(p => Attend(shape, cache, queries, Head, p, 1)).ToArray();
        foreach (int tile in new[] { 2, 3, Attention.TileRows, 33, 75 })
        {
            var tiled = new List<float>();
            for (int start = 0; start < cache.Positions; start += tile)
                tiled.AddRange(Attend(shape, cache, queries, Head, start, Math.Min(tile, cache.Positions - start)));
            TestNumbers.SameBits(alone, tiled.ToArray(), $"tiles of {tile}");
        }
    }

    [Fact]
    public void A_long_context_has_the_bits_of_the_scalar_twin_however_its_rows_and_splits_are_spread()
    {
        const int Positions = 2 * Attention.SplitTokens + 90, Rows = 70;
        foreach (var format in Enum.GetValues<KvFormat>())
        {
            var shape = Shape(16, 6, format);
            using var cache = new KvCacheFixture(shape.Kv, Positions, 6);
            var queries = Queries(shape, Positions);
            int stride = 2 * shape.GroupDim, start = Positions - Rows;
            var expected = new float[Positions * stride];
            // The last rows, and rows on both sides of a split's first position.
            int[] checkedPositions = [0, 40, Attention.SplitTokens - 1, Attention.SplitTokens, Attention.SplitTokens + 1, .. Enumerable.Range(start, Rows)];
            foreach (int position in checkedPositions)
                for (int head = 0; head < 2; head++)
                    Attention.RowScalar(shape, cache.Blocks, head, position, Row(queries, shape, position, head), expected.AsSpan((2 * position + head) * shape.GroupDim, shape.GroupDim));

            foreach (int threads in new[] { 1, 3 })
            {
                using var pool = new ComputePool(threads, spin: false);
                using var attention = new PagedAttention(shape);
                foreach (int chunk in new[] { 1, 3, 5, Rows })
                    for (int first = start; first < Positions; first += chunk)
                        Same([(first, Math.Min(chunk, Positions - first))]);
                Same([.. checkedPositions.Select(position => (position, 1))]);
                Same([(Attention.SplitTokens - 1, 3), (0, 1), (start, Rows), (40, 1)]);

                unsafe void Same((int Start, int Rows)[] runs)
                {
                    float[] input = [.. runs.SelectMany(run => queries.AsSpan(run.Start * stride, run.Rows * stride).ToArray())];
                    var output = new float[input.Length];
                    foreach (var run in runs)
                        attention.Add(run.Start, run.Rows, cache.Blocks, 0);
                    fixed (float* q = input)
                    fixed (float* y = output)
                        attention.Run(pool, q, stride, y, stride);
                    float[] wanted = [.. runs.SelectMany(run => expected.AsSpan(run.Start * stride, run.Rows * stride).ToArray())];
                    TestNumbers.SameBits(wanted, output, $"{format}, {threads} threads, {string.Join(' ', runs)}");
                }
            }
        }
    }

    [Fact]
    public unsafe void A_batch_no_larger_than_one_before_allocates_nothing()
    {
        const int Positions = Attention.SplitTokens + 40;
        var shape = Shape(16, 6, KvFormat.Int8);
        using var cache = new KvCacheFixture(shape.Kv, Positions, 12);
        using var pool = new ComputePool(1, spin: false);
        using var attention = new PagedAttention(shape);
        int stride = 2 * shape.GroupDim;
        var (queries, output) = (new float[21 * stride], new float[21 * stride]);
        fixed (float* q = queries)
        fixed (float* y = output)
        {
            Step(q, y);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Step(q, y);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        }

        void Step(float* q, float* y)
        {
            attention.Add(Positions - 1, 1, cache.Blocks, 0);
            attention.Add(500, 20, cache.Blocks, 0);
            attention.Run(pool, q, stride, y, stride);
        }
    }

    [Theory]
    [InlineData(KvFormat.Float32)]
    [InlineData(KvFormat.Bf16)]
    [InlineData(KvFormat.Int8)]
    public void Attention_agrees_with_double_precision(KvFormat format)
    {
        var shape = Shape(128, 6, format);
        using var cache = new KvCacheFixture(shape.Kv, 300, 3);
        var queries = Queries(shape, cache.Positions);
        foreach (int position in new[] { 0, 17, 299 })
            for (int head = 0; head < shape.Kv.KvHeads; head++)
                TestNumbers.Near(Reference(shape, cache, queries, head, position), Attend(shape, cache, queries, head, position, 1), 0, 2e-5, $"position {position}");
    }

    [Fact]
    public void What_was_stored_is_read_back_rounded_only_by_the_format()
    {
        foreach (var format in Enum.GetValues<KvFormat>())
        {
            using var cache = new KvCacheFixture(new KvBlockLayout(2, 48, format), 40, 4);
            for (int i = 0; i < cache.Keys.Length; i++)
            {
                var (position, head, dim) = (i / 96, i / 48 % 2, i % 48);
                var (block, slot) = (cache.Blocks[position / KvBlockLayout.Tokens], position % KvBlockLayout.Tokens);
                Stored(cache.Keys, i, format, cache.Layout.ReadKey(block, head, slot, dim));
                Stored(cache.Values, i, format, cache.Layout.ReadValue(block, head, slot, dim));
            }
        }

        static void Stored(float[] source, int i, KvFormat format, float actual)
        {
            if (format == KvFormat.Int8)
                Assert.InRange(Math.Abs(source[i] - actual), 0, 0.501f * source.AsSpan(i / 48 * 48, 48).ToArray().Max(Math.Abs) / 127);
            else
                Assert.Equal(format == KvFormat.Bf16 ? Bf16.Widen(Bf16.Round(source[i])) : source[i], actual);
        }
    }

    [Theory]
    [InlineData(KvFormat.Bf16, 1, 0.003)]
    [InlineData(KvFormat.Bf16, 10, 0.003)]
    [InlineData(KvFormat.Int8, 1, 0.01)]
    [InlineData(KvFormat.Int8, 10, 0.025)]
    public void Rounding_the_cache_costs_a_bounded_share_of_the_result(KvFormat format, float outlier, double limit)
    {
        const int Positions = 700;
        float[] Last(KvFormat kind)
        {
            // As a trained model has it: logits of about one, and one channel of the keys that is large for every token.
            var shape = new AttentionShape(new KvBlockLayout(1, 128, kind), 6, 0.0884f, Cap);
            using var cache = new KvCacheFixture(shape.Kv, Positions, 7);
            for (int position = 0; position < Positions; position++)
            {
                var key = cache.Keys.AsSpan(position * 128, 128);
                key[5] = outlier;
                shape.Kv.StoreKey(cache.Blocks[position / KvBlockLayout.Tokens], position % KvBlockLayout.Tokens, key);
            }
            var output = new float[shape.GroupDim];
            Attention.Rows(shape, cache.Blocks, 0, Positions - 1, 1, TestNumbers.Normal(shape.GroupDim, 8), 0, new float[shape.ScratchLength(1)], output, 0);
            return output;
        }
        var (exact, rounded) = (Last(KvFormat.Float32), Last(format));
        double error = Math.Sqrt(exact.Zip(rounded, (x, y) => Math.Pow(x - y, 2)).Sum() / exact.Sum(x => (double)x * x));
        Assert.InRange(error, 1e-6, limit);
    }

    [Fact]
    public unsafe void Every_vector_width_gives_the_same_bits()
    {
        const int Rows = 31, Queries = 13;
        foreach (var format in Enum.GetValues<KvFormat>())
        {
            using var cache = new KvCacheFixture(new KvBlockLayout(1, 32, format), KvBlockLayout.Tokens, 9);
            byte* panel = cache.Layout.Values(cache.Blocks[0], 0, 0);
            var weights = TestNumbers.Normal(Rows * Queries, 10);
            var (wide, narrow) = (TestNumbers.Normal(Queries * KvPanel.Width, 11), TestNumbers.Normal(Queries * KvPanel.Width, 11));
            fixed (float* w = weights, x = wide, y = narrow)
            {
                KvPanel.MultiplyAdd(format, panel, panel, Rows, Queries, w, Rows, x, KvPanel.Width);
                KvPanel.MultiplyAddNarrow(format, panel, panel, Rows, Queries, w, Rows, y, KvPanel.Width);
            }
            TestNumbers.SameBits(narrow, wide, $"{format}");
        }
    }

    [Fact]
    public unsafe void Capped_exponentials_agree_with_their_twin_and_with_double_precision()
    {
        const float Factor = Multiplier / Cap;
        foreach (int count in new[] { 1, 7, 8, 31, 32 })
        {
            var scores = TestNumbers.Normal(32, count, 100);
            var (keyScales, valueScales) = (TestNumbers.Normal(32, 1), TestNumbers.Normal(32, 2));
            float[] wide = [.. scores], narrow = [.. scores], wideLanes = TestNumbers.Normal(32, 3), narrowLanes = TestNumbers.Normal(32, 3);
            fixed (float* x = wide, y = narrow, k = keyScales, v = valueScales, a = wideLanes, b = narrowLanes)
            {
                CappedExponentials.Apply(x, count, Factor, Cap, k, v, a);
                CappedExponentials.ApplyNarrow(y, count, Factor, Cap, k, v, b);
            }
            TestNumbers.SameBits(narrow[..count], wide[..count], "weights");
            TestNumbers.SameBits(narrowLanes, wideLanes, "sums");
            for (int i = 0; i < 32; i++)
            {
                float p = i < count ? CappedExponentials.Scalar(scores[i] * keyScales[i], Factor, Cap) : 0;
                Assert.Equal(TestNumbers.Normal(32, 3)[i] + p, wideLanes[i]);
                if (i < count)
                {
                    Assert.Equal(p * valueScales[i], wide[i]);
                    double exact = Math.Exp(Cap * Math.Tanh((double)scores[i] * keyScales[i] * Multiplier / Cap));
                    Assert.InRange(p / exact, 1 - 1e-5, 1 + 1e-5);
                }
            }
        }
    }

    [Fact]
    public void A_block_of_the_release_takes_its_share_of_262_KB_a_token()
    {
        var layout = new KvBlockLayout(8, 128, KvFormat.Bf16);
        Assert.Equal(262_144, layout.BlockBytes * 64 / KvBlockLayout.Tokens);
        Assert.Equal(2 * layout.BlockBytes, new KvBlockLayout(8, 128, KvFormat.Float32).BlockBytes);
        Assert.InRange((double)new KvBlockLayout(8, 128, KvFormat.Int8).BlockBytes / layout.BlockBytes, 0.5, 0.52);
    }

    [Fact]
    public void Wrong_geometry_and_short_buffers_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new KvBlockLayout(1, 7, KvFormat.Bf16));
        Assert.Throws<ArgumentException>(() => new KvBlockLayout(0, 8, KvFormat.Bf16));
        Assert.Throws<ArgumentException>(() => new KvBlockLayout(1, 8, (KvFormat)7));
        Assert.Throws<OverflowException>(() => new KvBlockLayout(int.MaxValue, 8, KvFormat.Bf16));
        Assert.Throws<ArgumentException>(() => new AttentionShape(new KvBlockLayout(2, 8, KvFormat.Bf16), 3, 1, 30));
        Assert.Throws<ArgumentException>(() => new AttentionShape(new KvBlockLayout(2, 8, KvFormat.Bf16), 4, 1, 0));
        Assert.Throws<ArgumentException>(() => new AttentionShape(new KvBlockLayout(2, 8, KvFormat.Bf16), 4, 1, 65));

        var shape = Shape(8, 2, KvFormat.Float32);
        using var cache = new KvCacheFixture(shape.Kv, 33, 5);
        var (q, y) = (new float[16], new float[16]);
        var scratch = new float[shape.ScratchLength(1)];
        Assert.Throws<ArgumentException>(() => Attention.Rows(shape, cache.Blocks.AsSpan(0, 1), 0, 32, 1, q, 16, scratch, y, 16));
        Assert.Throws<ArgumentException>(() => Attention.Rows(shape, cache.Blocks, 0, 32, 1, q, 16, scratch.AsSpan(1), y, 16));
        Assert.Throws<ArgumentException>(() => Attention.Rows(shape, cache.Blocks, 0, 31, 2, q, 16, scratch, y, 16));
        Assert.Throws<ArgumentException>(() => Attention.Rows(shape, cache.Blocks, 0, 32, 0, q, 16, scratch, y, 16));
        Assert.Throws<ArgumentException>(() => Attention.Rows(shape, cache.Blocks, 0, -1, 1, q, 16, scratch, y, 16));
        Assert.Throws<ArgumentOutOfRangeException>(() => Attention.Rows(shape, cache.Blocks, 2, 32, 1, q, 16, scratch, y, 16));
        Assert.Throws<ArgumentOutOfRangeException>(() => shape.Kv.StoreKey(cache.Blocks[0], 32, new float[16]));
        Assert.Throws<ArgumentException>(() => shape.Kv.StoreValue(cache.Blocks[0], 0, new float[15]));
    }

    private static AttentionShape Shape(int headDim, int group, KvFormat format) =>
        new(new KvBlockLayout(2, headDim, format), 2 * group, Multiplier, Cap);

    // [positions, query heads, HeadDim], as a model lays its rows out.
    private static float[] Queries(AttentionShape shape, int positions) => TestNumbers.Normal(positions * 2 * shape.GroupDim, 9, 2);

    private static ReadOnlySpan<float> Row(float[] queries, AttentionShape shape, int position, int head) =>
        queries.AsSpan((2 * position + head) * shape.GroupDim, shape.GroupDim);

    private static float[] Attend(AttentionShape shape, KvCacheFixture cache, float[] queries, int head, int start, int rows)
    {
        var scratch = TestNumbers.Normal(shape.ScratchLength(rows), 11); // what an earlier call left behind
        var output = new float[rows * shape.GroupDim];
        Attention.Rows(shape, cache.Blocks, head, start, rows, queries.AsSpan((2 * start + head) * shape.GroupDim), 2 * shape.GroupDim,
            scratch, output, shape.GroupDim);
        return output;
    }

    private static double[] Reference(AttentionShape shape, KvCacheFixture cache, float[] queries, int head, int position)
    {
        var kv = shape.Kv;
        float Key(int p, int dim) => kv.ReadKey(cache.Blocks[p / KvBlockLayout.Tokens], head, p % KvBlockLayout.Tokens, dim);
        float Value(int p, int dim) => kv.ReadValue(cache.Blocks[p / KvBlockLayout.Tokens], head, p % KvBlockLayout.Tokens, dim);
        var result = new double[shape.GroupDim];
        for (int g = 0; g < shape.Group; g++)
        {
            var query = Row(queries, shape, position, head).Slice(g * kv.HeadDim, kv.HeadDim).ToArray();
            var weights = Enumerable.Range(0, position + 1).Select(p =>
                Math.Exp(Cap * Math.Tanh(Enumerable.Range(0, kv.HeadDim).Sum(d => (double)query[d] * Key(p, d)) * Multiplier / Cap))).ToArray();
            double sum = weights.Sum();
            for (int dim = 0; dim < kv.HeadDim; dim++)
                result[g * kv.HeadDim + dim] = weights.Select((w, p) => w / sum * Value(p, dim)).Sum();
        }
        return result;
    }
}
