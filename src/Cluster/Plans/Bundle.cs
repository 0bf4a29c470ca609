using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// The tiles of one layer whose gated results one worker adds into one vector: the unit of reply, replica, failover
/// and move.
/// </summary>
/// <param name="Layer">The layer that every tile belongs to.</param>
/// <param name="Tiles">In ascending (expert, slice) order, the order of the sum; never empty.</param>
/// <param name="Workers">Ids of the workers that hold a copy, the preferred one first; never empty, no id twice.</param>
public sealed record Bundle(int Layer, ImmutableArray<TileId> Tiles, ImmutableArray<string> Workers)
{
    /// <summary>Ids of workers that have it on disk, and bring it into memory when none of <see cref="Workers"/> is there.</summary>
    public ImmutableArray<string> Cold { get; init; } = [];
}
