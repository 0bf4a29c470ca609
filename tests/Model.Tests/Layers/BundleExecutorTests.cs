using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Layers;

/// <summary>Which tokens a bundle's tiles serve, and in which order their results are added.</summary>
public unsafe class BundleExecutorTests
{
    private const int Tokens = 40;

    [Fact]
    public void A_bundle_computes_the_gated_experts_that_the_router_chose_and_no_others()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(2, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Float32);
        var inputs = fixture.RandomRows(Tokens, 1);
        using var x = fixture.Rows(inputs, ActivationFormat.Float32);
        var (experts, gates) = Route(fixture.Store.Config.ExpertCount);
        int[] held = [1, 2, 6];
        var sum = Run(feedForward, fixture, [.. held.Select(expert => fixture.Tile(expert))], x, experts, gates);
        for (var token = 0; token < Tokens; token++)
        {
            var expected = new double[fixture.EmbeddingDim];
            for (var choice = 2 * token; choice < 2 * token + 2; choice++)
                if (held.Contains(experts[choice]))
                {
                    var y = fixture.Reference(experts[choice], inputs[token], 0, fixture.FeedForwardDim);
                    for (var column = 0; column < y.Length; column++)
                        expected[column] += gates[choice] * y[column];
                }
            for (var column = 0; column < expected.Length; column++)
                Assert.Equal(expected[column], sum[token * fixture.EmbeddingDim + column], 1e-5 * (1 + expected.Max(Math.Abs)));
        }
    }

    [Fact]
    public void A_bundle_is_the_sum_of_its_tiles_in_their_order_bit_for_bit()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(2, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Int8Blocks);
        using var x = fixture.Rows(fixture.RandomRows(Tokens, 2), ActivationFormat.Int8Blocks);
        var (experts, gates) = Route(fixture.Store.Config.ExpertCount);
        ExpertTile[] tiles = [fixture.Tile(0), fixture.Tile(1, 0, 96), fixture.Tile(1, 96), fixture.Tile(5)];
        var together = Run(feedForward, fixture, tiles, x, experts, gates);
        var executor = new BundleExecutor(feedForward);
        var apart = new float[together.Length];
        fixed (float* s = apart)
            foreach (var tile in tiles)
                executor.Run([tile], x, experts, gates, s);
        CpuExpertFeedForwardTests.SameBits(apart, together, "tiles one by one");
    }

    [Fact]
    public void A_bundle_that_no_token_chose_adds_nothing()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(1, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Float32);
        using var x = fixture.Rows(fixture.RandomRows(2, 3), ActivationFormat.Float32);
        Assert.All(Run(feedForward, fixture, [fixture.Tile(7)], x, [0, 1, 2, 3], [1f, 1f, 1f, 1f]), value => Assert.Equal(0f, value));
        using var none = fixture.Rows([], ActivationFormat.Float32);
        Assert.Empty(Run(feedForward, fixture, [fixture.Tile(7)], none, [], []));
    }

    [Fact]
    public void Routing_that_does_not_fit_the_rows_is_refused()
    {
        using var fixture = new ExpertFixture(WeightFormat.Int8);
        using var pool = new ComputePool(1, spin: false);
        using var feedForward = new CpuExpertFeedForward(pool, fixture.Store.ExpertLayout, ActivationFormat.Float32);
        using var x = fixture.Rows(fixture.RandomRows(2, 4), ActivationFormat.Float32);
        Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [fixture.Tile(0)], x, [0, 1, 0], [1f, 1f, 1f]));
        Assert.Throws<ArgumentException>(() => Run(feedForward, fixture, [fixture.Tile(0)], x, [0, 1], [1f]));
    }

    private static (int[] Experts, float[] Gates) Route(int expertCount)
    {
        var random = new Random(1);
        var experts = new int[2 * Tokens];
        for (var token = 0; token < Tokens; token++)
        {
            experts[2 * token] = random.Next(expertCount);
            experts[2 * token + 1] = (experts[2 * token] + 1 + random.Next(expertCount - 1)) % expertCount;
        }
        return (experts, [.. experts.Select(_ => random.NextSingle())]);
    }

    private static float[] Run(IExpertFeedForward feedForward, ExpertFixture fixture, ExpertTile[] tiles, Activations x, int[] experts, float[] gates)
    {
        var sum = new float[x.Rows * fixture.EmbeddingDim];
        fixed (float* s = sum)
            new BundleExecutor(feedForward).Run(tiles, x, experts, gates, s);
        return sum;
    }
}
