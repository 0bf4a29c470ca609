using Grok1Cluster.Cluster.Plans;
using HeldTile = Grok1Cluster.Protos.Expert.V1.HeldTile;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>What a worker says it holds, as columns of experts. It serves neighbouring tiles as one, and parts of them, under any plan.</summary>
public sealed class HeldColumns
{
    private readonly ILookup<(int Layer, int Expert), (int Start, int End)> _runs;

    public HeldColumns(IEnumerable<HeldTile> tiles)
    {
        var runs = new List<(int Layer, int Expert, int Start, int End)>();
        foreach (var tile in tiles.OrderBy(tile => (tile.Layer, tile.Expert, tile.Start)))
            if (runs.Count > 0 && runs[^1] is var last && (last.Layer, last.Expert) == ((int)tile.Layer, (int)tile.Expert) && tile.Start <= last.End)
                runs[^1] = last with { End = Math.Max(last.End, (int)tile.End) };
            else
                runs.Add(((int)tile.Layer, (int)tile.Expert, (int)tile.Start, (int)tile.End));
        _runs = runs.ToLookup(run => (run.Layer, run.Expert), run => (run.Start, run.End));
    }

    /// <summary>Whether all columns [start, end) of an expert are held.</summary>
    public bool Has(int layer, int expert, int start, int end)
    {
        foreach (var run in _runs[(layer, expert)])
            if (run.Start <= start && end <= run.End)
                return true;
        return false;
    }

    public bool Has(TileId tile, Plan plan) => Has(tile.Layer, tile.Expert, plan.Cuts[tile.Slice], plan.Cuts[tile.Slice + 1]);

    /// <summary>Whether a worker with these columns can compute a bundle.</summary>
    public bool HasAll(Bundle bundle, Plan plan)
    {
        foreach (var tile in bundle.Tiles)
            if (!Has(tile, plan))
                return false;
        return true;
    }

    /// <summary>The tiles of a plan that are held.</summary>
    public IReadOnlySet<TileId> TilesOf(Plan plan) =>
        plan.Bundles.SelectMany(bundle => bundle.Tiles).Where(tile => Has(tile, plan)).ToHashSet();
}
