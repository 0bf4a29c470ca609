using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Ops;

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

    [Theory]
    [InlineData(KvFormat.Float32)]
    [InlineData(KvFormat.Bf16)]
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
                Assert.Equal(Rounded(cache.Keys[i], format), cache.Layout.ReadKey(block, head, slot, dim));
                Assert.Equal(Rounded(cache.Values[i], format), cache.Layout.ReadValue(block, head, slot, dim));
            }
        }
    }

    [Fact]
    public void A_block_of_the_release_takes_its_share_of_262_KB_a_token()
    {
        var layout = new KvBlockLayout(8, 128, KvFormat.Bf16);
        Assert.Equal(262_144, layout.BlockBytes * 64 / KvBlockLayout.Tokens);
        Assert.Equal(2 * layout.BlockBytes, new KvBlockLayout(8, 128, KvFormat.Float32).BlockBytes);
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

        var shape = Shape(8, 2, KvFormat.Float32);
        using var cache = new KvCacheFixture(shape.Kv, 33, 5);
        var (q, y) = (new float[16], new float[16]);
        var scratch = new float[shape.ScratchLength(1, 33)];
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
        var scratch = TestNumbers.Normal(shape.ScratchLength(rows, start + rows), 11); // what an earlier call left behind
        var output = new float[rows * shape.GroupDim];
        Attention.Rows(shape, cache.Blocks, head, start, rows, queries.AsSpan((2 * start + head) * shape.GroupDim), 2 * shape.GroupDim,
            scratch, output, shape.GroupDim);
        return output;
    }

    private static double[] Reference(AttentionShape shape, KvCacheFixture cache, float[] queries, int head, int position)
    {
        var kv = shape.Kv;
        float Cached(float[] source, int p, int dim) => Rounded(source[(p * kv.KvHeads + head) * kv.HeadDim + dim], kv.Format);
        var result = new double[shape.GroupDim];
        for (int g = 0; g < shape.Group; g++)
        {
            var query = Row(queries, shape, position, head).Slice(g * kv.HeadDim, kv.HeadDim).ToArray();
            var weights = Enumerable.Range(0, position + 1).Select(p =>
                Math.Exp(Cap * Math.Tanh(Enumerable.Range(0, kv.HeadDim).Sum(d => (double)query[d] * Cached(cache.Keys, p, d)) * Multiplier / Cap))).ToArray();
            double sum = weights.Sum();
            for (int dim = 0; dim < kv.HeadDim; dim++)
                result[g * kv.HeadDim + dim] = weights.Select((w, p) => w / sum * Cached(cache.Values, p, dim)).Sum();
        }
        return result;
    }

    private static float Rounded(float value, KvFormat format) =>
        format == KvFormat.Bf16 ? Bf16.Widen(Bf16.Round(value)) : value;
}
