using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Brings expert blocks from the store's layout on the host to the device's layout: block by block through two pinned buffers,
/// so that the host fills one while the device copies and repacks the other. Not for concurrent use.
/// </summary>
internal sealed unsafe class WeightUpload : IDisposable
{
    private const int Slots = 2;
    private readonly CudaExpertLayout _layout;
    private readonly ExpertKernels _kernels;
    private readonly IKernelStream _stream;
    private readonly IDeviceBuffer[] _pinned = new IDeviceBuffer[Slots];
    private readonly IDeviceBuffer[] _raw = new IDeviceBuffer[Slots];
    private readonly IKernelEvent[] _done = new IKernelEvent[Slots];
    private readonly bool[] _used = new bool[Slots];
    private int _next;

    public WeightUpload(IKernelDevice device, CudaExpertLayout layout, ExpertKernels kernels)
    {
        (_layout, _kernels) = (layout, kernels);
        _stream = device.CreateStream();
        var most = layout.Store.Blocks.Max(block => block.Bytes);
        for (var slot = 0; slot < Slots; slot++)
            (_pinned[slot], _raw[slot], _done[slot]) = (device.AllocatePinned(most), device.Allocate(most), device.CreateEvent());
    }

    /// <summary>The stream in which everything is copied: what waits for it has the weights.</summary>
    public IKernelStream Stream => _stream;

    /// <summary>Begins to copy every block of a tile.</summary>
    /// <param name="tile">The weights.</param>
    /// <param name="target">Where the tile's first block goes.</param>
    public void Begin(ExpertTile tile, nint target)
    {
        for (var block = tile.FirstBlock; block < tile.EndBlock; block++)
            Begin(tile.Start(block), block, target + (nint)(_layout.Offset(block) - _layout.Offset(tile.FirstBlock)));
    }

    public void Dispose()
    {
        _stream.Synchronize();
        for (var slot = 0; slot < Slots; slot++)
        {
            _pinned[slot].Dispose();
            _raw[slot].Dispose();
            _done[slot].Dispose();
        }
        _stream.Dispose();
    }

    private void Begin(byte* source, int index, nint target)
    {
        var slot = _next;
        _next = (_next + 1) % Slots;
        if (_used[slot])
            _done[slot].Wait();
        var block = _layout.Store.Blocks[index];
        Buffer.MemoryCopy(source, (void*)_pinned[slot].Address, _pinned[slot].Bytes, block.Bytes);
        var raw = _raw[slot].Address;
        _stream.CopyToDevice(raw, _pinned[slot].Address, block.Bytes);

        var store = _layout.Store;
        var inputTileBytes = _layout.Shape.InputStride / CudaExpertLayout.TileRows * _layout.TileBytes;
        _kernels.Repack(_stream, new RepackPanels
        {
            Source = raw,
            Target = target,
            Blocks = _layout.InputRepack,
            SourcePanelBytes = store.InputPanelBytes,
            TargetPanelBytes = _layout.InputPanelBytes,
            Scales = raw + (nint)block.InputScales,
            ScalePanelStride = store.InputAxis.Groups * PanelLayout.Columns,
            ScaleGroupStride = PanelLayout.Columns,
            TargetScales = inputTileBytes,
            BlockCount = store.InputAxis.BlockCount,
        }, 2 * block.Panels, store.InputAxis.Groups);

        var down = _layout.DownRepack(index);
        _kernels.Repack(_stream, new RepackPanels
        {
            Source = raw + (nint)block.DownWeights,
            Target = target + (nint)down.Down,
            Blocks = down.Table,
            SourcePanelBytes = block.DownPanelBytes,
            TargetPanelBytes = down.PanelBytes,
            Scales = raw + (nint)block.DownScales,
            ScalePanelStride = PanelLayout.Columns,
            ScaleGroupStride = PanelLayout.PaddedColumns(store.Columns),
            TargetScales = down.Scales,
            BlockCount = down.Blocks,
        }, PanelLayout.PanelCount(store.Columns), block.Groups);
        _stream.Record(_done[slot]);
        _used[slot] = true;
    }
}
