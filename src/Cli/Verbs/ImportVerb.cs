using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Options;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Writes the model store of a source checkpoint, or one machine's share of it.</summary>
internal static class ImportVerb
{
    public static Command Create()
    {
        var source = new PathArgument("SRC", "a directory with ckpt-0/, and config.json and tokenizer.model where the model has them");
        var target = new PathArgument("DST", "the store to write; must not exist");
        var weights = WeightsOption.Create();
        var tiles = new FormattedOption<TileSelection>("--tiles", TileSelection.Format, null,
            "only the tiles of one worker of a plan file; none: only what the coordinator needs (default: the whole model)");

        var verb = new Verb("import", "Write the model store of a source checkpoint. An import that was stopped goes on where it was.",
            "grok1 import /data/grok-1 /data/grok-1-store",
            "grok1 import /data/grok-1 /data/share-3 --tiles plan.json:worker-3    # on the machine of worker-3",
            "grok1 import /data/grok-1 /data/coordinator --tiles none              # on the coordinator's machine") { source, target, weights, tiles };
        verb.AddJson();
        verb.Runs((context, cancel) => Task.FromResult(
            Run(context, context.Get(source)!, context.Get(target)!, context.Get(weights) ?? WeightFormat.Int8, context.Get(tiles), cancel)));
        return verb;
    }

    private static int Run(VerbContext context, string source, string target, WeightFormat weights, TileSelection? tiles, CancellationToken cancel)
    {
        StoreStaging.CheckFree(target);
        using var checkpoint = Ckpt0Checkpoint.Open(source);
        var options = new StoreBuildOptions
        {
            Weights = weights,
            DenseOnly = tiles is { IsNone: true },
            Slices = tiles is { IsNone: false } ? Slices(checkpoint.Config, source, tiles) : null,
        };
        return context.WriteStore(target, progress => StoreBuilder.Import(checkpoint, target, options, progress, cancel));
    }

    private static IReadOnlyList<ExpertSlice> Slices(Grok1Config config, string source, TileSelection selection)
    {
        var geometry = new PlanGeometry(Path.GetFileName(StoreStaging.FullPath(source)), config.LayerCount, config.ExpertCount,
            config.FeedForwardDim, ExpertLayout.ChooseBlockWidth(config.FeedForwardDim));
        var plan = PlanFile.Load(selection.PlanPath, geometry);
        var share = WorkerShare.Of(plan, geometry, selection.Worker);
        if (share.IsEmpty)
            throw new UnnamedWorkerException(selection.PlanPath, selection.Worker, plan.HoldingWorkers());
        return [.. share.Tiles.Select(tile => new ExpertSlice(tile.Layer, tile.Expert, plan.Cuts[tile.Slice], plan.Cuts[tile.Slice + 1]))];
    }
}
