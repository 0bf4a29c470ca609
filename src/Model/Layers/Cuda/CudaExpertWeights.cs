using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// The tiles that live in a device's memory, as many as fit in their order, and two places through which the others pass when
/// so many tokens need one that copying it pays (<see cref="Transient"/>).
/// </summary>
public sealed class CudaExpertWeights : IDisposable
{
    private readonly Dictionary<(int Layer, int Expert), List<Run>> _resident = [];
    private readonly List<IDeviceBuffer> _buffers = [];
    private readonly IDeviceBuffer[] _places;
    private readonly WeightUpload _upload;

    /// <param name="device">The device.</param>
    /// <param name="layout">Of every expert.</param>
    /// <param name="tiles">What this process holds.</param>
    /// <param name="limit">Most device bytes for tiles; null: what is free.</param>
    /// <exception cref="Kernels.Cuda.CudaException">The device has too little memory for anything.</exception>
    public CudaExpertWeights(IKernelDevice device, ExpertLayout layout, IReadOnlyList<ExpertTile> tiles, long? limit)
    {
        Device = device;
        Kernels = new ExpertKernels(device, layout.Format);
        using (var stream = device.CreateStream())
            Layout = new CudaExpertLayout(device, stream, layout);
        _upload = new WeightUpload(device, Layout, Kernels);
        var free = device.FreeMemory - DeviceReserve.Of(device);
        (Resident, var needsPlaces) = Choose(tiles, Math.Max(0, Math.Min(free, limit ?? long.MaxValue)));
        _places = needsPlaces ? [device.Allocate(MostBytes(tiles)), device.Allocate(MostBytes(tiles))] : [];
    }

    public IKernelDevice Device { get; }

    /// <summary>The tiles that are put on the device, in order.</summary>
    public IReadOnlyList<ExpertTile> Resident { get; }

    /// <summary>Bytes of the tiles on the device, as the device has them.</summary>
    public long Bytes => Resident.Sum(BytesOf);

    /// <summary>Places for tiles that are not on the device: 2, or 0 where all are.</summary>
    public int Places => _places.Length;

    internal ExpertKernels Kernels { get; }

    internal CudaExpertLayout Layout { get; }

    /// <summary>Copies the tiles; before the first call.</summary>
    /// <param name="loaded">Told of the bytes of each tile; null: nobody is.</param>
    /// <param name="cancel">Gives up between two tiles.</param>
    public void Load(Action<long>? loaded, CancellationToken cancel)
    {
        foreach (var tile in Resident)
        {
            cancel.ThrowIfCancellationRequested();
            var buffer = Device.Allocate(BytesOf(tile));
            _buffers.Add(buffer);
            _upload.Begin(tile, buffer.Address);
            var key = (tile.Slice.Layer, tile.Slice.Expert);
            if (!_resident.TryGetValue(key, out var runs))
                _resident.Add(key, runs = []);
            runs.Add(new Run(tile.FirstBlock, tile.EndBlock, buffer.Address - (nint)Layout.Offset(tile.FirstBlock)));
            loaded?.Invoke(tile.Bytes);
        }
        _upload.Stream.Synchronize();
    }

    public void Dispose()
    {
        _upload.Dispose();
        foreach (var buffer in _buffers.Concat(_places))
            buffer.Dispose();
        Layout.Dispose();
        Kernels.Dispose();
    }

    /// <summary>Where block 0 of the tile's expert would be on the device, or null when the tile is not all there.</summary>
    internal nint? Find(ExpertTile tile)
    {
        if (_resident.TryGetValue((tile.Slice.Layer, tile.Slice.Expert), out var runs))
            foreach (var run in runs)
                if (run.FirstBlock <= tile.FirstBlock && tile.EndBlock <= run.EndBlock)
                    return run.Origin;
        return null;
    }

    /// <summary>Begins to copy a tile to one of the places, whose last user is done with it.</summary>
    /// <param name="tile">A tile, or a part of one.</param>
    /// <param name="place">Below <see cref="Places"/>.</param>
    /// <param name="copied">Recorded when the tile is there.</param>
    /// <returns>Where block 0 of its expert would be.</returns>
    internal nint Transient(ExpertTile tile, int place, IKernelEvent copied)
    {
        _upload.Begin(tile, _places[place].Address);
        _upload.Stream.Record(copied);
        return _places[place].Address - (nint)Layout.Offset(tile.FirstBlock);
    }

    private long BytesOf(ExpertTile tile) => Layout.Bytes(tile.FirstBlock, tile.EndBlock);

    private long MostBytes(IReadOnlyList<ExpertTile> tiles) => tiles.Max(BytesOf);

    /// <summary>As many tiles as fit; where not all do, with room for the two places.</summary>
    private (IReadOnlyList<ExpertTile>, bool NeedsPlaces) Choose(IReadOnlyList<ExpertTile> tiles, long room)
    {
        if (tiles.Count == 0 || tiles.Sum(BytesOf) <= room)
            return (tiles, false);
        room -= 2 * MostBytes(tiles);
        if (room < 0)
            throw new Kernels.Cuda.CudaException(
                $"{Device.Name} has {Device.FreeMemory} free bytes; two places of {MostBytes(tiles)} bytes for the largest tile and the reserve do not fit: give this worker smaller slices, or --device cpu");
        var chosen = new List<ExpertTile>();
        foreach (var tile in tiles)
        {
            room -= BytesOf(tile);
            if (room < 0)
                break;
            chosen.Add(tile);
        }
        return (chosen, true);
    }

    private readonly record struct Run(int FirstBlock, int EndBlock, nint Origin);
}
