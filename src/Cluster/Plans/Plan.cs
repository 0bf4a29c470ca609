using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// Which worker holds which bundles. Immutable: a change is a new plan with a higher epoch. Plans come from
/// <see cref="Planner"/> or <see cref="PlanFile"/>, which see to it that they cover their geometry exactly.
/// </summary>
/// <param name="Epoch">Grows with every change of placement; it guards placement only, never the validity of a result.</param>
/// <param name="Model">The model the plan was made for: a label for people. What has to fit is the geometry.</param>
/// <param name="Cuts">Slice edges in columns of FeedForwardDim, ascending from 0 to FeedForwardDim.</param>
/// <param name="Bundles">The coordinator adds a layer's bundles in this order.</param>
public sealed record Plan(long Epoch, string Model, ImmutableArray<int> Cuts, ImmutableArray<Bundle> Bundles)
{
    public int SliceCount => Cuts.Length - 1;

    /// <summary>Columns of FeedForwardDim in a bundle, over its tiles: what it takes of memory and time.</summary>
    public long Columns(Bundle bundle) => bundle.Tiles.Sum(tile => (long)Cuts[tile.Slice + 1] - Cuts[tile.Slice]);

    /// <summary>Every worker that holds something, in ordinal order.</summary>
    public ImmutableArray<string> HoldingWorkers() =>
        [.. Bundles.SelectMany(bundle => bundle.Workers).Distinct().Order(StringComparer.Ordinal)];

    /// <summary>Those, and every worker that has something on disk for them, in ordinal order.</summary>
    public ImmutableArray<string> NamedWorkers() =>
        [.. Bundles.SelectMany(bundle => bundle.Workers.Concat(bundle.Cold)).Distinct().Order(StringComparer.Ordinal)];
}
