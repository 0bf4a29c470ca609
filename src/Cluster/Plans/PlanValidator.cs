namespace Grok1Cluster.Cluster.Plans;

/// <summary>Finds everything in a plan document that is not a plan for a geometry: all problems at once.</summary>
internal sealed class PlanValidator
{
    /// <summary>A hostile file can be wrong millions of times; nobody reads, and no memory is spent on, more than these.</summary>
    private const int MaxProblems = 1000;

    private readonly PlanGeometry _geometry;
    private readonly int _sliceCount;
    private readonly List<string> _problems = [];

    /// <summary>Tiles seen so far and the number of the bundle that has them.</summary>
    private readonly Dictionary<TileId, int> _owners = [];

    private PlanValidator(PlanGeometry geometry, int sliceCount) => (_geometry, _sliceCount) = (geometry, sliceCount);

    /// <returns>One phrase a problem; empty when the document is a plan that covers <paramref name="geometry"/> exactly.</returns>
    public static IReadOnlyCollection<string> Check(PlanDocument document, PlanGeometry geometry, IReadOnlyCollection<string>? knownWorkers)
    {
        var validator = new PlanValidator(geometry, Math.Max(0, document.Cuts.Length - 1));
        if (document.Epoch < 0)
            validator.Add($"epoch {document.Epoch} is negative");
        var goodCuts = validator.CheckCuts(document.Cuts);
        var known = knownWorkers?.ToHashSet();
        for (var number = 0; number < document.Bundles.Length; number++)
            validator.CheckBundle(number, document.Bundles[number], known);
        // With wrong cuts the tiles that should exist are unknown.
        if (goodCuts)
            validator.CheckNothingMissing();
        return validator._problems;
    }

    private bool CheckCuts(int[] cuts)
    {
        var before = _problems.Count;
        var end = _geometry.FeedForwardDim;
        if (cuts.Length < 2 || cuts[0] != 0 || cuts[^1] != end)
            Add($"cuts have to go from 0 to FeedForwardDim {end}");
        for (var i = 0; i < cuts.Length; i++)
        {
            if (i > 0 && cuts[i] <= cuts[i - 1])
                Add($"cuts[{i}] = {cuts[i]} does not ascend from {cuts[i - 1]}");
            if (!_geometry.IsEdge(cuts[i]))
                Add($"cuts[{i}] = {cuts[i]} is neither a multiple of the block width {_geometry.SliceQuantum} nor {end}");
        }
        return _problems.Count == before;
    }

    private void CheckBundle(int number, BundleDocument? bundle, HashSet<string>? known)
    {
        if (bundle is null)
        {
            Add($"bundles[{number}] is null");
            return;
        }
        if (bundle.Layer < 0 || bundle.Layer >= _geometry.LayerCount)
            Add($"bundles[{number}] is of layer {bundle.Layer}; the model has layers 0-{_geometry.LayerCount - 1}");
        CheckTiles(number, bundle);
        if (bundle.Workers.Length == 0)
            Add($"bundles[{number}] has no workers");
        CheckWorkers(number, [.. bundle.Workers, .. bundle.Cold ?? []], known);
    }

    private void CheckTiles(int number, BundleDocument bundle)
    {
        if (bundle.Tiles.Length == 0)
            Add($"bundles[{number}] has no tiles");
        TileId? previous = null;
        for (var i = 0; i < bundle.Tiles.Length; i++)
        {
            if (bundle.Tiles[i] is not [var expert, var slice])
            {
                Add($"bundles[{number}].tiles[{i}] is not a pair [expert, slice]");
                continue;
            }
            var tile = new TileId(bundle.Layer, expert, slice);
            if (expert < 0 || expert >= _geometry.ExpertCount || slice < 0 || slice >= _sliceCount)
                Add($"bundles[{number}] has {tile}; the model has {_geometry.ExpertCount} experts, the plan {_sliceCount} slices");
            else if (!_owners.TryAdd(tile, number))
                Add(_owners[tile] == number
                    ? $"bundles[{number}] has {tile} twice"
                    : $"{tile} is in bundles[{_owners[tile]}] and bundles[{number}]; a copy is made by naming more workers");
            else if (previous is { } last && tile.CompareTo(last) < 0)
                Add($"bundles[{number}] has {tile} after expert {last.Expert} slice {last.Slice}; tiles go in (expert, slice) order");
            previous = tile;
        }
    }

    private void CheckWorkers(int number, string?[] workers, HashSet<string>? known)
    {
        var seen = new HashSet<string>();
        foreach (var worker in workers)
        {
            if (string.IsNullOrWhiteSpace(worker))
                Add($"bundles[{number}] has a worker without an id");
            else if (!seen.Add(worker))
                Add($"bundles[{number}] names worker {worker} twice");
            else if (known is not null && !known.Contains(worker))
                Add($"bundles[{number}] names worker {worker}, which is not in this cluster ({string.Join(", ", known.Order(StringComparer.Ordinal).Take(16))})");
        }
    }

    private void CheckNothingMissing()
    {
        var missing = PlanCoverage.AllTiles(_geometry, _sliceCount).Where(tile => !_owners.ContainsKey(tile)).ToList();
        if (missing.Count > 0)
            Add($"{missing.Count} tiles are missing: {TileNames.Describe(missing)}");
    }

    private void Add(string problem)
    {
        if (_problems.Count < MaxProblems)
            _problems.Add(problem);
    }
}
