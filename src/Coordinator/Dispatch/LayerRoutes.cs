using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>What one worker is asked for in one layer: its bundles, in plan order, and the experts they serve.</summary>
internal sealed class WorkerRoute
{
    private readonly bool[] _serves;
    private readonly List<TileRange>[] _ranges;

    /// <param name="worker">Index into <see cref="PlanLookup.Workers"/>.</param>
    /// <param name="bundles">In plan order, at least one.</param>
    /// <param name="plan">Gives the edges of slices.</param>
    /// <param name="experts">ExpertCount.</param>
    public WorkerRoute(int worker, IReadOnlyList<PlacedBundle> bundles, Plan plan, int experts)
    {
        (Worker, Bundles) = (worker, bundles);
        _serves = [.. Enumerable.Range(0, experts).Select(expert => bundles.Any(bundle => bundle.Experts.Contains(expert)))];
        ServesAll = _serves.All(serves => serves);
        _ranges = [.. bundles.Select(bundle => Ranges(bundle.Bundle, plan))];
        Encoded = new EncodedBundles(_ranges);
    }

    public int Worker { get; }

    public IReadOnlyList<PlacedBundle> Bundles { get; }

    /// <summary>The bundles as every call names them.</summary>
    public EncodedBundles Encoded { get; }

    /// <summary>Whether every token needs this worker.</summary>
    public bool ServesAll { get; }

    /// <summary>Where a bundle's sum is among the worker's replies; null when it is not asked for.</summary>
    public int? Place(PlacedBundle bundle)
    {
        for (var place = 0; place < Bundles.Count; place++)
            if (Bundles[place].Index == bundle.Index)
                return place;
        return null;
    }

    /// <summary>The columns of the n-th bundle, in the order of its sum.</summary>
    public IReadOnlyList<TileRange> Ranges(int bundle) => _ranges[bundle];

    /// <summary>The columns of a bundle: neighbouring slices of an expert, side by side in a worker's memory, are one product and not several.</summary>
    private static List<TileRange> Ranges(Bundle bundle, Plan plan)
    {
        var ranges = new List<TileRange>();
        foreach (var tile in bundle.Tiles)
        {
            var range = new TileRange((uint)tile.Expert, (uint)plan.Cuts[tile.Slice], (uint)plan.Cuts[tile.Slice + 1]);
            if (ranges.Count > 0 && ranges[^1] is var last && last.Expert == range.Expert && last.End == range.Start)
                ranges[^1] = last with { End = range.End };
            else
                ranges.Add(range);
        }
        return ranges;
    }

    /// <summary>Whether a token routed to these experts needs this worker.</summary>
    public bool Serves(ReadOnlySpan<int> experts)
    {
        foreach (var expert in experts)
            if (_serves[expert])
                return true;
        return false;
    }
}

/// <summary>
/// Where the tokens of one layer go while the same workers are ready: a route for each worker that holds something of it, or several
/// where one answer would be too large, and in which order replies are added.
/// </summary>
internal sealed class LayerRoutes
{
    /// <param name="version">Of the workers that the choice is made among.</param>
    /// <param name="bundles">All of the layer, in plan order.</param>
    /// <param name="choose">The worker that computes a bundle; null where nobody can now.</param>
    /// <param name="plan">Gives the edges of slices.</param>
    /// <param name="experts">ExpertCount.</param>
    /// <param name="mostBundles">Of one route; a worker that has more has several.</param>
    public LayerRoutes(long version, ReadOnlySpan<PlacedBundle> bundles, Func<PlacedBundle, int?> choose, Plan plan, int experts, int mostBundles)
    {
        Version = version;
        var chosen = bundles.ToArray().Select(bundle => (Bundle: bundle, Worker: choose(bundle))).ToArray();
        Routes = [.. chosen.Where(pair => pair.Worker is not null).GroupBy(pair => pair.Worker!.Value).OrderBy(group => group.Key)
            .SelectMany(group => group.Select(pair => pair.Bundle).Chunk(mostBundles).Select(part => new WorkerRoute(group.Key, part, plan, experts)))];
        LargestRoute = Routes.Select(route => route.Bundles.Count).DefaultIfEmpty().Max();
        Order = [.. chosen.Select(pair => FindReply(pair.Bundle))];
        IsComplete = chosen.All(pair => pair.Worker is not null);
    }

    public long Version { get; }

    public IReadOnlyList<WorkerRoute> Routes { get; }

    /// <summary>For each bundle in plan order: index of its route, and its place in that route's replies; null where it has none.</summary>
    public IReadOnlyList<(int Route, int Place)?> Order { get; }

    /// <summary>Bundles of the route that has most.</summary>
    public int LargestRoute { get; }

    /// <summary>Whether every bundle has a route.</summary>
    public bool IsComplete { get; }

    private (int Route, int Place)? FindReply(PlacedBundle bundle)
    {
        for (var route = 0; route < Routes.Count; route++)
            if (Routes[route].Place(bundle) is { } place)
                return (route, place);
        return null;
    }
}
