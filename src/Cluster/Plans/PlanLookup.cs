using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>A bundle as dispatch sees it.</summary>
/// <param name="Index">Its place among the bundles of its layer: the order in which replies are added.</param>
/// <param name="Workers">Indices into <see cref="PlanLookup.Workers"/>, the preferred one first, cold ones last.</param>
/// <param name="Experts">Experts of which the bundle has at least one tile, ascending, each once.</param>
public sealed record PlacedBundle(int Index, Bundle Bundle, ImmutableArray<int> Workers, ImmutableArray<int> Experts);

/// <summary>
/// An immutable snapshot of a plan, laid out for dispatch: a step reads it once, and no lookup in it allocates or hashes.
/// </summary>
public sealed class PlanLookup
{
    private readonly PlacedBundle[][] _layers;

    /// <param name="plan">Has to fit <paramref name="geometry"/>.</param>
    public PlanLookup(Plan plan, PlanGeometry geometry)
    {
        Plan = plan;
        Workers = plan.NamedWorkers();
        var workerIndex = Workers.Select((worker, index) => (worker, index)).ToDictionary(pair => pair.worker, pair => pair.index);
        var byLayer = plan.Bundles.ToLookup(bundle => bundle.Layer);
        _layers = [.. Enumerable.Range(0, geometry.LayerCount).Select(layer => byLayer[layer].Select((bundle, index) => new PlacedBundle(
            index,
            bundle,
            [.. bundle.Workers.Concat(bundle.Cold).Select(worker => workerIndex[worker])],
            [.. bundle.Tiles.Select(tile => tile.Expert).Distinct()])).ToArray())];
    }

    public Plan Plan { get; }

    /// <summary>The workers that hold something, or would, in ordinal order.</summary>
    public ImmutableArray<string> Workers { get; }

    /// <summary>The bundles of a layer, in the order in which their replies are added.</summary>
    public ReadOnlySpan<PlacedBundle> Bundles(int layer) => _layers[layer];
}
