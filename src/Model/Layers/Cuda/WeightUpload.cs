using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Brings expert blocks from the store's layout on the host to the device's, block by block. Not for concurrent use.</summary>
internal sealed unsafe class WeightUpload : IDisposable
{
    private readonly CudaExpertLayout _layout;
    private readonly ExpertKernels _kernels;
    private readonly PinnedUpload _upload;

    public WeightUpload(IKernelDevice device, CudaExpertLayout layout, ExpertKernels kernels) =>
        (_layout, _kernels, _upload) = (layout, kernels, new PinnedUpload(device, layout.Store.Blocks.Max(block => block.Bytes)));

    /// <summary>The stream in which everything is copied: what waits for it has the weights.</summary>
    public IKernelStream Stream => _upload.Stream;

    /// <summary>Begins to copy every block of a tile.</summary>
    /// <param name="tile">The weights.</param>
    /// <param name="target">Where the tile's first block goes.</param>
    public void Begin(ExpertTile tile, nint target)
    {
        for (var block = tile.FirstBlock; block < tile.EndBlock; block++)
            Begin(tile, block, target + (nint)(_layout.Offset(block) - _layout.Offset(tile.FirstBlock)));
    }

    /// <summary>Begins to copy a block of a tile.</summary>
    /// <param name="tile">The weights.</param>
    /// <param name="block">The expert block.</param>
    /// <param name="target">Where it goes.</param>
    public void Begin(ExpertTile tile, int block, nint target) => Begin(tile.Start(block), block, target);

    public void Dispose() => _upload.Dispose();

    private void Begin(byte* source, int index, nint target)
    {
        var block = _layout.Store.Blocks[index];
        Buffer.MemoryCopy(source, (void*)_upload.Next(), _upload.Bytes, block.Bytes);
        var raw = _upload.Send(block.Bytes);

        var store = _layout.Store;
        var inputTileBytes = _layout.Shape.InputStride / CudaExpertLayout.TileRows * _layout.TileBytes;
        _kernels.Repack(_upload.Stream, new RepackPanels
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
        _kernels.Repack(_upload.Stream, new RepackPanels
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
        _upload.Sent();
    }
}
