using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Cache;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.Cluster.Tests.Weights;

/// <summary>When a release takes tiles away and when it frees them, by calls that a test holds open.</summary>
public sealed class ReleaseOrderTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task Earlier_calls_still_find_the_tile_and_no_memory_is_freed_before_the_last_that_found_it_is_answered()
    {
        using var store = ModelStore.Open(models.Golden("tiny-a"));
        using var tiles = new TileStore(store);
        using var cache = new WeightCache(store, new WeightCacheOptions { Root = store.Directory });
        var calls = new CallEpochs();
        var keeper = new TileKeeper("w", tiles, new LocalWeights(store, cache), new BlockFetcher(store, cache, _ => { }), new WeightMemory(), null, calls, verify: true);
        var slice = store.ExpertLayout.Slice(0, 0, 0, 2);
        BlockRange[] range = [new(0, 0, 0, 2)];
        // What would be freed too early is freed on another thread: once alone it might be missed.
        for (var round = 0; round < 100; round++)
        {
            keeper.HoldFirst(WantedTiles.Of(store, [slice]), preload: true, null, CancellationToken.None);
            var earlier = calls.Enter();
            var release = keeper.ReleaseAsync(range);
            Assert.NotNull(tiles.Find(slice));
            var later = calls.Enter();
            calls.Leave(earlier);
            SpinWait.SpinUntil(() => !tiles.Holds(new BlockId(0, 0, 0)));
            Assert.Null(tiles.Find(slice));
            for (var i = 0; i < 20; i++)
                await Task.Yield();
            Assert.False(release.IsCompleted);
            // Those that came after the tile was gone are not waited for; the release says so a moment after it is gone.
            var last = calls.Enter();
            for (; last == later; last = calls.Enter())
                calls.Leave(last);
            calls.Leave(later);
            await release.WaitAsync(TestKit.Grok1Process.DefaultTimeout);
            calls.Leave(last);
        }
    }
}
