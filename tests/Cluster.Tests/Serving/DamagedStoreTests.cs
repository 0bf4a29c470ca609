using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Cache;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>A store of which a bit has flipped since it was written.</summary>
public sealed class DamagedStoreTests : IDisposable
{
    private readonly ModelFixture _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_worker_does_not_start_on_a_damaged_tile_and_names_it()
    {
        var (model, fault) = Damage();
        Assert.Matches(fault, (await Assert.ThrowsAsync<ModelException>(() => StartAsync(model, verify: true))).Message);
        await using var unverified = await StartAsync(model, verify: false);
        Assert.True(unverified.TileCount > 0);
    }

    [Fact]
    public async Task One_process_without_workers_does_not_start_on_a_damaged_expert_either()
    {
        var (model, fault) = Damage();
        var options = new ClusterSessionOptions { StorePath = model, Program = ["unused"], Threads = 1 };
        Assert.Matches(fault, (await Assert.ThrowsAsync<ModelException>(() => ClusterSession.StartAsync(options, _ => { }, CancellationToken.None))).Message);
    }

    [Theory]
    [InlineData(0.01)] // In the embedding table, of which a text reads few rows.
    [InlineData(0.99)]
    public async Task A_coordinator_does_not_start_on_damaged_attention_or_embedding(double where)
    {
        var model = _models.Golden("tiny-a");
        var file = Path.Combine(model, "dense.bin");
        FlipBit(file, where);
        var options = new ClusterSessionOptions { StorePath = model, Program = ["unused"], Threads = 1 };
        var fault = await Assert.ThrowsAsync<ModelException>(() => ClusterSession.StartAsync(options, _ => { }, CancellationToken.None));
        Assert.StartsWith($"{file}: has another SHA-256 than in the manifest; ", fault.Message);
    }

    [Fact]
    public void A_worker_whose_device_loads_the_weights_itself_checks_them_as_well()
    {
        var (model, fault) = Damage();
        using var store = ModelStore.Open(model);
        using var tiles = new TileStore(store);
        using var cache = new WeightCache(store, new WeightCacheOptions { Root = store.Directory });
        var keeper = new TileKeeper(
            "w", tiles, new LocalWeights(store, cache), new BlockFetcher(store, cache, _ => { }), new WeightMemory(), null, new CallEpochs(), verify: true, leavesLoading: true);
        var wanted = WantedTiles.Of(store, [store.ExpertLayout.Slice(1, 2, 0, store.ExpertLayout.Blocks.Count)]);
        Assert.Matches(fault, Assert.Throws<ModelException>(() => keeper.HoldFirst(wanted, preload: true, null, CancellationToken.None)).Message);
    }

    /// <summary>Flips a bit of an expert, and tells how that has to be reported.</summary>
    private (string Model, string Fault) Damage()
    {
        var model = _models.Golden("tiny-a");
        var file = Path.Combine(model, "experts", "layer-01-expert-2.bin");
        FlipBit(file, 0.5);
        return (model, $@"^{file}: block \d+ \(layer 1 expert 2, columns from \d+\) has another SHA-256 than in the manifest; ");
    }

    private static void FlipBit(string file, double where)
    {
        using var stream = File.Open(file, FileMode.Open);
        stream.Position = (long)(stream.Length * where);
        var value = stream.ReadByte();
        stream.Position--;
        stream.WriteByte((byte)(value ^ 0x10));
    }

    private static Task<ExpertWorkerHost> StartAsync(string model, bool verify) =>
        ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "worker-0", ModelPath = model, Threads = 1, Verify = verify }, _ => { }, CancellationToken.None);
}
