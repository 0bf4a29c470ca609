using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>The tiles a worker holds, mapped from its model store, found by what a call names.</summary>
public sealed class TileStore : IDisposable
{
    private readonly Dictionary<ExpertSlice, ExpertTile> _tiles = [];

    /// <param name="store">Holds at least the slices.</param>
    /// <param name="slices">What to hold.</param>
    /// <exception cref="ModelException">The store lacks one of them.</exception>
    public TileStore(ModelStore store, IEnumerable<ExpertSlice> slices)
    {
        Model = store;
        foreach (var slice in slices)
            if (!_tiles.ContainsKey(slice))
                _tiles.Add(slice, store.OpenTile(slice));
    }

    public ModelStore Model { get; }

    public IReadOnlyCollection<ExpertTile> Tiles => _tiles.Values;

    /// <summary>Bytes of weights and scales.</summary>
    public long Bytes => _tiles.Values.Sum(tile => tile.Bytes);

    /// <summary>A tile, or null if it is not held.</summary>
    public ExpertTile? Find(ExpertSlice slice) => _tiles.GetValueOrDefault(slice);

    /// <summary>Brings every tile into memory; before the first call.</summary>
    /// <param name="memory">How.</param>
    /// <param name="loaded">Told of the bytes of each tile, by several threads; null: nobody is.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ModelException">A file cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    public void Load(WeightMemory memory, Action<long>? loaded, CancellationToken cancel) => WeightLoading.LoadAll(_tiles.Values, memory.For(Bytes), loaded, cancel);

    public void Dispose()
    {
        foreach (var tile in _tiles.Values)
            tile.Dispose();
    }
}
