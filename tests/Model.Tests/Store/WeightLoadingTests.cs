using System.Collections;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Tests.Store;

/// <summary>Who is told to end while a large tile comes from a slow disk does not wait for all of it.</summary>
public sealed class WeightLoadingTests : IDisposable
{
    private readonly StoreFixture _stores = new();
    private readonly ModelStore _store;
    private readonly ExpertTile _tile;

    public WeightLoadingTests()
    {
        _store = ModelStore.Open(_stores.Import("tiny-a", "s"));
        _tile = _store.OpenTile(new ExpertSlice(3, 1, 0, _store.Config.FeedForwardDim));
    }

    public void Dispose()
    {
        _tile.Dispose();
        _store.Dispose();
        _stores.Dispose();
    }

    [Fact]
    public void A_check_of_a_tile_that_is_given_up_ends_before_the_next_block()
    {
        using var giveUp = new CancellationTokenSource();
        var hashes = new HashesUntilOneIsRead([.. Enumerable.Range(0, _tile.EndBlock).Select(block => _store.FindBlock(new BlockId(3, 1, block))!.Value.Sha256)], giveUp.Cancel);
        Assert.Throws<OperationCanceledException>(() => _tile.Check(hashes, giveUp.Token));
        Assert.Equal(1, hashes.Read);
    }

    [Theory]
    [InlineData(WeightPages.Copied)]
    [InlineData(WeightPages.Mapped)]
    public void A_tile_whose_loading_was_given_up_reads_nothing_more_and_can_be_loaded_later(WeightPages pages)
    {
        Assert.Throws<OperationCanceledException>(() => _tile.Load(new WeightMemory(pages), new CancellationToken(canceled: true)));
        _tile.Load(new WeightMemory(pages), CancellationToken.None);
        _store.CheckTile(_tile, CancellationToken.None);
    }

    [Fact]
    public void Tiles_that_others_load_are_given_up_too_when_one_is_not_sound()
    {
        using var others = _store.OpenTile(new ExpertSlice(3, 2, 0, _store.Config.FeedForwardDim));
        var fault = Assert.Throws<ModelException>(() => WeightLoading.LoadAll([_tile, others], new WeightMemory(), (tile, stop) =>
        {
            if (tile == _tile)
                throw new ModelException("not sound");
            stop.WaitHandle.WaitOne();
            stop.ThrowIfCancellationRequested();
        }, null, CancellationToken.None));
        Assert.Equal("not sound", fault.Message);
    }

    /// <summary>Hashes of blocks, the first of which is followed by an end.</summary>
    private sealed class HashesUntilOneIsRead(IReadOnlyList<string> hashes, Action end) : IReadOnlyList<string>
    {
        public int Read { get; private set; }

        public int Count => hashes.Count;

        public string this[int index]
        {
            get
            {
                Read++;
                end();
                return hashes[index];
            }
        }

        public IEnumerator<string> GetEnumerator() => hashes.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
