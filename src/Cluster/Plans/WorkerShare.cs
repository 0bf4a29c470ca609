using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Consecutive blocks of one expert in the model store: one contiguous read.</summary>
/// <param name="FirstBlock">Inclusive.</param>
/// <param name="EndBlock">Exclusive.</param>
public readonly record struct BlockRange(int Layer, int Expert, int FirstBlock, int EndBlock);

/// <summary>What one worker holds under a plan.</summary>
/// <param name="Tiles">Ascending; empty for a worker that holds nothing.</param>
/// <param name="Blocks">The same as blocks of the model store, neighbouring slices joined; ascending.</param>
public sealed record WorkerShare(string Worker, ImmutableArray<TileId> Tiles, ImmutableArray<BlockRange> Blocks)
{
    public bool IsEmpty => Tiles.IsEmpty;

    /// <param name="plan">Has to fit <paramref name="geometry"/>.</param>
    public static WorkerShare Of(Plan plan, PlanGeometry geometry, string worker)
    {
        ImmutableArray<TileId> tiles =
            [.. plan.Bundles.Where(bundle => bundle.Workers.Contains(worker)).SelectMany(bundle => bundle.Tiles).Order()];
        return new WorkerShare(worker, tiles, Join(plan, geometry, tiles));
    }

    private static ImmutableArray<BlockRange> Join(Plan plan, PlanGeometry geometry, ImmutableArray<TileId> tiles)
    {
        var ranges = ImmutableArray.CreateBuilder<BlockRange>();
        foreach (var tile in tiles)
        {
            var range = new BlockRange(tile.Layer, tile.Expert,
                geometry.BlockAt(plan.Cuts[tile.Slice]), geometry.BlockAt(plan.Cuts[tile.Slice + 1]));
            if (ranges.Count > 0 && ranges[^1] is var last
                && (last.Layer, last.Expert, last.EndBlock) == (range.Layer, range.Expert, range.FirstBlock))
                ranges[^1] = last with { EndBlock = range.EndBlock };
            else
                ranges.Add(range);
        }
        return ranges.DrainToImmutable();
    }
}
