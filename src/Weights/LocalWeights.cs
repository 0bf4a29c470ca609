using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.Weights;

/// <summary>The expert blocks that this machine has on disk, in a model store or in a cache. Thread-safe.</summary>
/// <param name="model">What the model is; of a worker without weights of its own a store that holds nothing.</param>
/// <param name="cache">What was fetched from others; null without.</param>
public sealed class LocalWeights(ModelStore model, WeightCache? cache)
{
    public ModelStore Model { get; } = model;

    public WeightCache? Cache { get; } = cache;

    /// <summary>Where a block is, or null.</summary>
    public StoredBlock? Find(BlockId id) => Model.FindBlock(id) ?? Cache?.Find(id);

    /// <summary>Where a block of these bytes is, or null.</summary>
    /// <param name="id">Which.</param>
    /// <param name="sha256">Lower-case hexadecimal; null takes any.</param>
    public StoredBlock? Find(BlockId id, string? sha256) =>
        sha256 is null ? Find(id)
        : Model.FindBlock(id) is { } stored && stored.Sha256 == sha256 ? stored
        : Cache?.Find(id) is { } cached && cached.Sha256 == sha256 ? cached
        : null;
}
