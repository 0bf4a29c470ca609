using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.ExpertWorker;

/// <summary>What a worker holds when it begins to serve.</summary>
internal sealed class FirstTiles(ExpertWorkerOptions options, LocalWeights local, TileKeeper keeper)
{
    private readonly ModelStore _model = local.Model;

    /// <summary>Fetches what is not on this machine, and loads.</summary>
    /// <param name="known">What sources say they have; null for a worker with a store.</param>
    /// <param name="cancel">Gives up.</param>
    public async Task HoldAsync(ModelDescription? known, CancellationToken cancel)
    {
        var wanted = Choose();
        if (known is not null && wanted.Ranges.Count > 0)
        {
            wanted = wanted with { Sha256 = wanted.Blocks.ToDictionary(block => block, block => Hash(known, block)) };
            var (done, total) = (0L, wanted.Blocks.Where(block => local.Find(block, wanted.Sha256[block]) is null).Sum(block => _model.ExpertLayout.Blocks[block.Block].Bytes));
            await keeper.FetchAsync(wanted, new WeightSupply(options.Sources, options.BytesPerSecond),
                bytes => options.Fetched?.Report(new StoreProgress(Interlocked.Add(ref done, bytes), total)), cancel);
        }
        await BackgroundThread.Run(() => keeper.HoldFirst(wanted, options.Preload, options.Loaded, cancel));
    }

    /// <summary>The plan's tiles of this worker, or without a plan every run of blocks that the store holds.</summary>
    private WantedTiles Choose()
    {
        if (options.HoldNothing)
            return WantedTiles.Of(_model, []);
        if (options.PlanPath is not null)
        {
            var geometry = new PlanGeometry(_model.Name, _model.Config.LayerCount, _model.Config.ExpertCount, _model.Config.FeedForwardDim, _model.ExpertLayout.BlockWidth);
            var plan = PlanFile.Load(options.PlanPath, geometry);
            // What is held on disk alone is named as well.
            if (!plan.NamedWorkers().Contains(options.Id))
                throw new UnnamedWorkerException(options.PlanPath, options.Id, plan.HoldingWorkers());
            return WantedTiles.Of(_model, WorkerShare.Of(plan, geometry, options.Id).Tiles.Select(tile => new ExpertSlice(tile.Layer, tile.Expert, plan.Cuts[tile.Slice], plan.Cuts[tile.Slice + 1])));
        }
        return WantedTiles.Of(_model, from expert in _model.Manifest.Experts
                                      from run in expert.FirstBlocks.Zip(expert.EndBlocks)
                                      select _model.ExpertLayout.Slice(expert.Layer, expert.Expert, run.First, run.Second));
    }

    private static string Hash(ModelDescription known, BlockId block) => known.Sha256.GetValueOrDefault(block)
        ?? throw new ModelException($"the plan gives this worker {block}, which is in the manifest of no source; name a source with a store of it");
}
