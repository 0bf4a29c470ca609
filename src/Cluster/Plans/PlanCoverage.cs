using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>What a plan needs and the workers that are there do not hold.</summary>
/// <param name="Missing">Tiles in ascending order; empty when every bundle can be served.</param>
public sealed record PlanCoverage(ImmutableArray<TileId> Missing)
{
    public bool IsComplete => Missing.IsEmpty;

    /// <summary>
    /// Compares a plan with what workers report. A bundle is served by any one of its workers that holds all of its
    /// tiles; for a bundle that nobody can serve, the tiles that the nearest of them lacks are missing.
    /// </summary>
    /// <param name="held">Worker id to the tiles it holds. Workers and tiles that the plan does not name are ignored.</param>
    public static PlanCoverage Of(Plan plan, IReadOnlyDictionary<string, IReadOnlySet<TileId>> held)
    {
        var missing = new SortedSet<TileId>();
        foreach (var bundle in plan.Bundles)
            missing.UnionWith(bundle.Workers.Concat(bundle.Cold).Select(worker => Lacks(bundle, held.GetValueOrDefault(worker))).MinBy(tiles => tiles.Count)!);
        return new PlanCoverage([.. missing]);
    }

    /// <summary>For a message: <c>3 tiles are missing: layer 3 expert 5 slices 0-2</c>.</summary>
    public string Describe() => IsComplete
        ? "every tile is held"
        : $"{Missing.Length} {(Missing.Length == 1 ? "tile is" : "tiles are")} missing: {TileNames.Describe(Missing)}";

    /// <summary>Every tile of a geometry cut in <paramref name="sliceCount"/> slices, ascending.</summary>
    public static IEnumerable<TileId> AllTiles(PlanGeometry geometry, int sliceCount) =>
        from layer in Enumerable.Range(0, geometry.LayerCount)
        from expert in Enumerable.Range(0, geometry.ExpertCount)
        from slice in Enumerable.Range(0, sliceCount)
        select new TileId(layer, expert, slice);

    private static List<TileId> Lacks(Bundle bundle, IReadOnlySet<TileId>? held) =>
        [.. bundle.Tiles.Where(tile => held is null || !held.Contains(tile))];
}
