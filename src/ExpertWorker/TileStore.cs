using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// The tiles a worker holds, found by what a call names: a tile, several neighbours as one, or a part of one on the edges of
/// expert blocks. So a worker that holds whole experts serves any plan that cuts them. What is held may change at any time:
/// a reader sees the set before or the set after. Lookups are for one thread, changes for one at a time.
/// </summary>
public sealed class TileStore(ModelStore store) : IDisposable
{
    private readonly ExpertLayout _layout = store.ExpertLayout;
    private volatile TileSet _held = TileSet.Empty(store.ExpertLayout);

    public ModelStore Model { get; } = store;

    /// <summary>What is held, as it was asked for, ascending.</summary>
    public IReadOnlyList<ExpertSlice> Slices => _held.Slices;

    /// <summary>What is held, neighbours joined: what is loaded, and placed on a device, at a time.</summary>
    public IReadOnlyList<ExpertTile> Runs => [.. _held.Runs.OrderBy(run => (run.Slice.Layer, run.Slice.Expert, run.FirstBlock))];

    /// <summary>Bytes of weights and scales.</summary>
    public long Bytes => _held.Bytes;

    /// <summary>Other tiles are held than before.</summary>
    public event Action? Changed;

    /// <summary>Both at the same moment.</summary>
    public (IReadOnlyList<ExpertSlice> Slices, long Bytes) Held => _held is var held ? (held.Slices, held.Bytes) : default;

    /// <summary>The tile of a slice, or null if it is not all held.</summary>
    public ExpertTile? Find(ExpertSlice slice) => _held.Find(slice);

    /// <summary>Whether a block is held; for any thread.</summary>
    public bool Holds(BlockId id) => _held.Holds(id);

    /// <summary>Holds more from now on.</summary>
    /// <param name="runs">In memory; owned from now on. None of their blocks is held yet.</param>
    /// <param name="slices">The same blocks, cut as they were asked for.</param>
    public void Add(IReadOnlyCollection<ExpertTile> runs, IEnumerable<ExpertSlice> slices)
    {
        _held = _held.With(runs, slices);
        Changed?.Invoke();
    }

    /// <summary>Finds some blocks no more from now on.</summary>
    /// <param name="ranges">Within the model; what is not held is ignored.</param>
    /// <returns>What was let go, to be freed when no call uses it any more.</returns>
    internal DroppedBlocks Remove(IReadOnlyCollection<BlockRange> ranges)
    {
        var dropped = new List<(ExpertTile, int)>();
        _held = _held.Without(ranges, dropped);
        Changed?.Invoke();
        return new DroppedBlocks(_held, dropped, _layout);
    }

    public void Dispose()
    {
        foreach (var run in _held.Runs)
            run.Dispose();
    }
}
