using System.Collections.Immutable;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// The tiles that live in a device's memory, as many as fit in their order, and two places through which the others pass when
/// so many tokens need one that copying it pays (<see cref="Transient"/>). Tiles may come and go while calls run: a call finds them
/// where they were before a change or where they are after it, and both stay until it is answered (<see cref="GivenUp"/>). Neighbours are joined,
/// because a kernel wants a tile in one piece.
/// </summary>
public sealed class CudaExpertWeights : IDisposable
{
    /// <summary>Places for tiles that are not on the device: one is filled while the other is computed with.</summary>
    public const int MostPlaces = 2;

    private readonly long? _limit;
    private readonly WeightUpload _upload, _passing;
    private readonly Lock _changing = new();
    private readonly List<IDeviceBuffer> _givenUp = [];
    private volatile ImmutableDictionary<(int Layer, int Expert), ImmutableArray<Run>> _resident = ImmutableDictionary<(int, int), ImmutableArray<Run>>.Empty;
    private volatile IDeviceBuffer[] _places = [];

    /// <param name="device">The device.</param>
    /// <param name="layout">Of every expert.</param>
    /// <param name="tiles">What this process holds at first.</param>
    /// <param name="limit">Most device bytes for tiles; null: what is free.</param>
    /// <exception cref="CudaException">The device has too little memory for anything.</exception>
    public CudaExpertWeights(IKernelDevice device, ExpertLayout layout, IReadOnlyList<ExpertTile> tiles, long? limit)
    {
        (Device, _limit) = (device, limit);
        Kernels = new ExpertKernels(device, layout.Format);
        using (var stream = device.CreateStream())
            Layout = new CudaExpertLayout(device, stream, layout);
        (_upload, _passing) = (new WeightUpload(device, Layout, Kernels), new WeightUpload(device, Layout, Kernels));
        Resident = Choose(tiles);
        if (Resident.Count == 0 && tiles.Count > 0 && _places.Length == 0)
            throw new CudaException(
                $"{device.Name} has {device.FreeMemory} free bytes; two places of {tiles.Max(BytesOf)} bytes for the largest tile and the reserve do not fit: give this worker smaller slices, or --device cpu");
    }

    public IKernelDevice Device { get; }

    /// <summary>Of the first tiles those that are put on the device, in order.</summary>
    public IReadOnlyList<ExpertTile> Resident { get; }

    /// <summary>Bytes of the tiles on the device, as the device has them.</summary>
    public long Bytes => _resident.Values.SelectMany(runs => runs).Select(run => run.Buffer).Distinct().Sum(buffer => buffer.Bytes);

    /// <summary>Bytes for which there is room beside them.</summary>
    public long Room => Math.Max(0, Math.Min(Device.FreeMemory - DeviceReserve.Of(Device), (_limit ?? long.MaxValue) - Bytes - _places.Sum(place => place.Bytes)));

    /// <summary>Places that there are: <see cref="MostPlaces"/>, or 0 as long as all tiles fit.</summary>
    public int Places => _places.Length;

    internal ExpertKernels Kernels { get; }

    internal CudaExpertLayout Layout { get; }

    /// <summary>Copies the first tiles; before the first call.</summary>
    /// <param name="loaded">Told of the bytes of each tile; null: nobody is.</param>
    /// <param name="cancel">Gives up between two tiles.</param>
    public void Load(Action<long>? loaded, CancellationToken cancel)
    {
        foreach (var tile in Resident)
        {
            cancel.ThrowIfCancellationRequested();
            lock (_changing)
                Put(tile);
            loaded?.Invoke(tile.Bytes);
        }
    }

    /// <summary>Takes more tiles, as many as there is room for, while calls run.</summary>
    /// <returns>Those that it took.</returns>
    /// <exception cref="CudaException">The device fails.</exception>
    public IReadOnlyList<ExpertTile> Add(IReadOnlyList<ExpertTile> tiles, CancellationToken cancel)
    {
        lock (_changing)
        {
            var chosen = Choose(tiles);
            foreach (var tile in chosen)
            {
                cancel.ThrowIfCancellationRequested();
                Put(tile);
            }
            return chosen;
        }
    }

    /// <summary>Lets go of blocks that no call asks for any more; what is not here is ignored.</summary>
    public void Remove(IEnumerable<(int Layer, int Expert, int Block)> blocks)
    {
        lock (_changing)
        {
            foreach (var expert in blocks.GroupBy(block => (block.Layer, block.Expert), block => block.Block))
            {
                var dropped = expert.ToHashSet();
                Arrange(expert.Key, block => Holder(expert.Key, block) is not null && !dropped.Contains(block), added: null);
            }
        }
    }

    /// <summary>Memory that changes left behind: to be disposed when the calls that came before are answered.</summary>
    public IReadOnlyList<IDisposable> GivenUp()
    {
        lock (_changing)
        {
            IDisposable[] buffers = [.. _givenUp];
            _givenUp.Clear();
            return buffers;
        }
    }

    public void Dispose()
    {
        _upload.Dispose();
        _passing.Dispose();
        foreach (var buffer in _resident.Values.SelectMany(runs => runs).Select(run => run.Buffer).Distinct().Concat(_places).Concat(_givenUp))
            buffer.Dispose();
        Layout.Dispose();
        Kernels.Dispose();
    }

    /// <summary>Where block 0 of the tile's expert would be on the device, or null when the tile is not all there in one piece.</summary>
    internal nint? Find(ExpertTile tile)
    {
        foreach (var run in Runs((tile.Slice.Layer, tile.Slice.Expert)))
            if (run.FirstBlock <= tile.FirstBlock && tile.EndBlock <= run.EndBlock)
                return run.Origin;
        return null;
    }

    /// <summary>Whether a tile can pass through one of the places.</summary>
    internal bool CanPass(ExpertTile tile) => _places is [var place, ..] && BytesOf(tile) <= place.Bytes;

    /// <summary>Begins to copy a tile to one of the places, whose last user is done with it.</summary>
    /// <param name="tile">A tile, or a part of one, that <see cref="CanPass"/>.</param>
    /// <param name="place">Below <see cref="Places"/>.</param>
    /// <param name="copied">Recorded when the tile is there.</param>
    /// <returns>Where block 0 of its expert would be.</returns>
    internal nint Transient(ExpertTile tile, int place, IKernelEvent copied)
    {
        _passing.Begin(tile, _places[place].Address);
        _passing.Stream.Record(copied);
        return _places[place].Address - (nint)Layout.Offset(tile.FirstBlock);
    }

    private long BytesOf(ExpertTile tile) => Layout.Bytes(tile.FirstBlock, tile.EndBlock);

    private ImmutableArray<Run> Runs((int, int) expert) => _resident.GetValueOrDefault(expert, []);

    private Run? Holder((int, int) expert, int block)
    {
        foreach (var run in Runs(expert))
            if (run.FirstBlock <= block && block < run.EndBlock)
                return run;
        return null;
    }

    /// <summary>As many tiles as fit; where not all do, with room for the two places, which are set aside then.</summary>
    private IReadOnlyList<ExpertTile> Choose(IReadOnlyList<ExpertTile> tiles)
    {
        var room = Room;
        if (tiles.Sum(BytesOf) <= room)
            return tiles;
        var most = tiles.Max(BytesOf);
        if (_places.Length == 0 && MostPlaces * most <= room)
        {
            _places = [.. Enumerable.Range(0, MostPlaces).Select(_ => Device.Allocate(most))];
            room -= MostPlaces * most;
        }
        else if (_places.Length == 0 && _resident.IsEmpty)
            return [];
        return [.. tiles.TakeWhile(tile => (room -= BytesOf(tile)) >= 0)];
    }

    private void Put(ExpertTile tile)
    {
        var expert = (tile.Slice.Layer, tile.Slice.Expert);
        Arrange(expert, block => Holder(expert, block) is not null || tile.FirstBlock <= block && block < tile.EndBlock, tile);
    }

    /// <summary>Makes the device hold some blocks of an expert, every stretch of neighbours in one piece where there is room to move them.</summary>
    private void Arrange((int Layer, int Expert) expert, Func<int, bool> wanted, ExpertTile? added)
    {
        var before = Runs(expert);
        var after = ImmutableArray.CreateBuilder<Run>();
        for (int first = 0, end; first < Layout.Store.Blocks.Count; first = end)
        {
            var isWanted = wanted(first);
            for (end = first + 1; end < Layout.Store.Blocks.Count && wanted(end) == isWanted; end++)
            {
            }
            if (isWanted)
                after.AddRange(Stretch(before, first, end, added));
        }
        _upload.Stream.Synchronize();
        _resident = after.Count == 0 ? _resident.Remove(expert) : _resident.SetItem(expert, after.ToImmutable());
        _givenUp.AddRange(before.Select(run => run.Buffer).Except(after.Select(run => run.Buffer)));
    }

    /// <summary>Blocks [first, end), which are in runs that there are or in the tile that comes.</summary>
    private IEnumerable<Run> Stretch(ImmutableArray<Run> before, int first, int end, ExpertTile? added)
    {
        foreach (var run in before)
            if (run.FirstBlock == first && run.EndBlock == end)
                return [run];
        if (added is not null && added.FirstBlock == first && added.EndBlock == end)
            return [Copy(before, first, end, added)];
        if (Layout.Bytes(first, end) <= Device.FreeMemory - DeviceReserve.Of(Device))
            return [Copy(before, first, end, added)];
        // No room for both at a time: what is there stays where it is, and what comes is a piece of its own.
        var pieces = before.Where(run => run.FirstBlock < end && first < run.EndBlock)
            .Select(run => run with { FirstBlock = Math.Max(first, run.FirstBlock), EndBlock = Math.Min(end, run.EndBlock) });
        return added is not null && first <= added.FirstBlock && added.EndBlock <= end ? pieces.Append(Copy([], added.FirstBlock, added.EndBlock, added)) : pieces;
    }

    /// <summary>A new piece of memory with blocks [first, end).</summary>
    private Run Copy(ImmutableArray<Run> before, int first, int end, ExpertTile? added)
    {
        var buffer = Device.Allocate(Layout.Bytes(first, end));
        var origin = buffer.Address - (nint)Layout.Offset(first);
        for (var block = first; block < end; block++)
        {
            var target = origin + (nint)Layout.Offset(block);
            var source = before.FirstOrDefault(run => run.FirstBlock <= block && block < run.EndBlock);
            if (source is not null)
                _upload.Stream.CopyOnDevice(target, source.Origin + (nint)Layout.Offset(block), Layout.Bytes(block, block + 1));
            else
                _upload.Begin(added!, block, target);
        }
        return new Run(first, end, buffer, origin);
    }

    /// <summary>Blocks in one piece.</summary>
    /// <param name="FirstBlock">First.</param>
    /// <param name="EndBlock">One past the last.</param>
    /// <param name="Buffer">Where they are; it may begin before them.</param>
    /// <param name="Origin">Where block 0 of the expert would be.</param>
    private sealed record Run(int FirstBlock, int EndBlock, IDeviceBuffer Buffer, nint Origin);
}
