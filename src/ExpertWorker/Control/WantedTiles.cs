using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>Blocks that a worker is to hold.</summary>
/// <param name="Ranges">As they were asked for: each becomes a tile. Within the model.</param>
/// <param name="Sha256">What each block must be, by its number; without an entry whatever this machine has is taken.</param>
internal sealed record WantedTiles(IReadOnlyList<BlockRange> Ranges, IReadOnlyDictionary<BlockId, string> Sha256)
{
    /// <summary>Every block once, ascending.</summary>
    public IEnumerable<BlockId> Blocks =>
        Ranges.SelectMany(range => Enumerable.Range(range.FirstBlock, range.EndBlock - range.FirstBlock).Select(block => new BlockId(range.Layer, range.Expert, block))).Distinct().Order();

    /// <summary>The slices of a store or a plan, with what the store holds.</summary>
    public static WantedTiles Of(ModelStore model, IEnumerable<ExpertSlice> slices) => new(
        [.. slices.Distinct().OrderBy(slice => (slice.Layer, slice.Expert, slice.Start)).Select(slice =>
        {
            var (first, end) = model.ExpertLayout.BlockRange(slice.Start, slice.End);
            return new BlockRange(slice.Layer, slice.Expert, first, end);
        })],
        new Dictionary<BlockId, string>());
}
