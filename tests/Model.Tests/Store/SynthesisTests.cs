using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class SynthesisTests : IDisposable
{
    private readonly StoreFixture _stores = new();

    public void Dispose() => _stores.Dispose();

    [Theory]
    [InlineData(WeightFormat.Int4)]
    [InlineData(WeightFormat.Int8)]
    [InlineData(WeightFormat.BFloat16)]
    [InlineData(WeightFormat.Float32)]
    public void A_seed_decides_every_byte_whatever_the_threads(WeightFormat format)
    {
        var one = _stores.Synthesise("one", 7, new StoreBuildOptions { Weights = format, Threads = 1 });
        var three = _stores.Synthesise("three", 7, new StoreBuildOptions { Weights = format, Threads = 3 });
        var other = _stores.Synthesise("other", 8, new StoreBuildOptions { Weights = format });
        Assert.Equal(StoreFixture.Contents(one), StoreFixture.Contents(three));
        Assert.Empty(StoreFixture.Contents(one).Values.Intersect(StoreFixture.Contents(other).Values));
        Assert.Equal([], StoreFixture.Verify(one).Problems);
    }

    [Fact]
    public void A_share_has_the_bytes_of_the_whole()
    {
        using var whole = ModelStore.Open(_stores.Synthesise("whole"));
        using var share = ModelStore.Open(_stores.Synthesise("share", 1, new StoreBuildOptions { Slices = [new ExpertSlice(1, 2, 32, 88)] }));
        Assert.Equal(whole.Find(1, 2)!.BlockSha256.Skip(1), share.Find(1, 2)!.BlockSha256);
        Assert.Equal(whole.Manifest.Fingerprint, share.Manifest.Fingerprint);
    }

    [Fact]
    public unsafe void The_head_is_the_embedding_transposed()
    {
        using var store = ModelStore.Open(_stores.Synthesise("s", 3, new StoreBuildOptions { Weights = WeightFormat.Float32 }));
        using var dense = store.OpenDense();
        var head = dense.Packed(TensorRole.Embedding);
        var reader = new PackedReader(WeightFormat.Float32, 72, 1, null);
        for (var token = 0; token < 300; token++)
            for (var k = 0; k < 72; k++)
                Assert.Equal(dense.EmbeddingRow(token)[k], reader.Weight(new ReadOnlySpan<byte>((byte*)head.Weights + token / 32 * 72 * 128, 72 * 128), 0, k, token % 32));
    }

    [Fact]
    public void A_geometry_that_breaks_a_rule_is_refused()
    {
        var error = Assert.Throws<ModelException>(() => _stores.Synthesise("s", config: new Grok1Config { LayerCount = -1, ExpertCount = 0 }));
        Assert.Contains("LayerCount", error.Message);
        Assert.Contains("ExpertCount", error.Message);
        Assert.False(Directory.Exists(_stores.At("s.importing")));
    }
}
