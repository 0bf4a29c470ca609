using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Model.Tests.Store;

public sealed class ShareTests : IDisposable
{
    private readonly StoreFixture _stores = new();

    public void Dispose() => _stores.Dispose();

    [Fact]
    public void A_share_holds_exactly_its_blocks_with_the_bytes_of_the_whole_store()
    {
        ExpertSlice[] slices = [new(0, 1, 32, 96), new(0, 1, 160, 176), new(0, 1, 96, 128), new(11, 7, 0, 176), new(3, 0, 0, 32)];
        using var whole = ModelStore.Open(_stores.Import("tiny-a", "whole"));
        using var share = ModelStore.Open(_stores.Import("tiny-a", "share", new StoreBuildOptions { Slices = slices }));

        Assert.Null(share.Manifest.Dense);
        Assert.Empty(share.Manifest.Tensors);
        Assert.Equal(whole.Manifest.Fingerprint, share.Manifest.Fingerprint);
        Assert.Equal([(0, 1), (3, 0), (11, 7)], share.Manifest.Experts.Select(expert => (expert.Layer, expert.Expert)));
        Assert.Equal([1, 5], share.Find(0, 1)!.FirstBlocks);
        Assert.Equal([4, 6], share.Find(0, 1)!.EndBlocks);
        Assert.Equal(4, Directory.GetFiles(share.Directory, "*", SearchOption.AllDirectories).Length);
        foreach (var expert in share.Manifest.Experts)
        {
            var (full, part) = (File.ReadAllBytes(whole.FilePath(whole.Find(expert.Layer, expert.Expert)!.File)), new List<byte>());
            for (var run = 0; run < expert.FirstBlocks.Count; run++)
                part.AddRange(full[(int)whole.ExpertLayout.Bytes(0, expert.FirstBlocks[run])..(int)whole.ExpertLayout.Bytes(0, expert.EndBlocks[run])]);
            Assert.Equal(part, File.ReadAllBytes(share.FilePath(expert.File)));
            Assert.Equal(whole.Find(expert.Layer, expert.Expert)!.BlockSha256.Where((_, block) => share.Holds(Block(expert, block))), expert.BlockSha256);
        }
        Assert.True(StoreFixture.Verify(share.Directory).IsSound);

        ExpertSlice Block(StoreExpert expert, int block) => new(expert.Layer, expert.Expert, block * 32, Math.Min(176, block * 32 + 32));
    }

    [Fact]
    public void Tiles_are_held_or_refused_by_name()
    {
        using var share = ModelStore.Open(_stores.Import("tiny-a", "share", new StoreBuildOptions { Slices = [new(0, 1, 32, 96), new(0, 1, 160, 176)] }));
        using (var tile = share.OpenTile(new ExpertSlice(0, 1, 64, 96)))
        {
            Assert.Equal((2, 3), (tile.FirstBlock, tile.EndBlock));
            Assert.Equal(share.ExpertLayout.Blocks[2].Bytes, tile.Bytes);
            tile.Load(new WeightMemory(), CancellationToken.None);
        }
        Assert.False(share.Holds(new ExpertSlice(0, 1, 64, 128)));
        Assert.False(share.Holds(new ExpertSlice(0, 2, 32, 96)));
        Assert.False(share.Holds(new ExpertSlice(99, -1, 32, 96)));
        Assert.Contains("[64, 128) of layer 0 expert 1", Assert.Throws<ModelException>(() => share.OpenTile(new ExpertSlice(0, 1, 64, 128))).Message);
        Assert.Contains("edges of expert blocks", Assert.Throws<ModelException>(() => share.OpenTile(new ExpertSlice(0, 1, 33, 64))).Message);
        Assert.Contains("without attention", Assert.Throws<ModelException>(() => share.OpenDense()).Message);
    }

    [Fact]
    public void Dense_tensors_are_the_same_mapped_and_copied()
    {
        using var store = ModelStore.Open(_stores.Import("tiny-a", "copied"));
        using var mapped = store.OpenDense();
        using var copied = store.OpenDense();
        mapped.Load(new WeightMemory(WeightPages.Mapped), CancellationToken.None);
        copied.Load(new WeightMemory(WeightPages.Copied), CancellationToken.None);
        Assert.Equal(mapped.EmbeddingRow(7), copied.EmbeddingRow(7));
        Assert.Equal(mapped.Plain(TensorRole.Router, 11), copied.Plain(TensorRole.Router, 11));
    }

    [Fact]
    public void A_small_share_stays_mapped_unless_it_is_asked_for()
    {
        Assert.Equal(WeightPages.Mapped, new WeightMemory().For(1 << 20).Pages);
        Assert.Equal(WeightPages.Copied, new WeightMemory(WeightPages.Copied).For(1 << 20).Pages);
        Assert.Equal(WeightPages.Mapped, new WeightMemory(WeightPages.Mapped).For(1L << 40).Pages);
    }

    [Fact]
    public void The_coordinators_share_has_no_expert_and_an_idle_workers_share_nothing()
    {
        using var dense = ModelStore.Open(_stores.Import("tiny-b", "dense", new StoreBuildOptions { DenseOnly = true }));
        using var none = ModelStore.Open(_stores.Import("tiny-b", "none", new StoreBuildOptions { Slices = [] }));
        Assert.Empty(dense.Manifest.Experts);
        dense.OpenDense().Dispose();
        Assert.Single(Directory.GetFiles(none.Directory, "*", SearchOption.AllDirectories));
        Assert.True(StoreFixture.Verify(dense.Directory).IsSound);
        Assert.True(StoreFixture.Verify(none.Directory).IsSound);
    }

    [Theory]
    [InlineData(2, 0, 0, 32)]
    [InlineData(0, 4, 0, 32)]
    [InlineData(-1, 0, 0, 32)]
    [InlineData(0, 0, 0, 33)]
    [InlineData(0, 0, 32, 32)]
    [InlineData(0, 0, -32, 32)]
    [InlineData(0, 0, 0, int.MaxValue)]
    public void Slices_of_another_model_are_refused(int layer, int expert, int start, int end)
    {
        using var checkpoint = Ckpt0Checkpoint.Open(Path.Combine(Repository.TestData, "tiny-b"));
        var options = new StoreBuildOptions { Slices = [new ExpertSlice(layer, expert, start, end)] };
        Assert.Throws<ModelException>(() => _stores.Import(checkpoint, "s", options));
        Assert.False(Directory.Exists(_stores.At("s.importing")));
    }
}
