using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Weights;

/// <summary>The expert blocks that this machine has on disk. Thread-safe.</summary>
/// <param name="model">What the model is; a worker without weights of its own has one that holds nothing.</param>
public sealed class LocalWeights(ModelStore model)
{
    public ModelStore Model { get; } = model;

    /// <summary>Where a block is, or null.</summary>
    public StoredBlock? Find(BlockId id) => Model.FindBlock(id);

    /// <summary>Where a block of these bytes is, or null.</summary>
    /// <param name="id">Which.</param>
    /// <param name="sha256">Lower-case hexadecimal; null takes any.</param>
    public StoredBlock? Find(BlockId id, string? sha256) => Find(id) is { } found && (sha256 is null || found.Sha256 == sha256) ? found : null;
}
