using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>A slice of one expert, mapped from the store: hidden columns [Start, End) of gate and up, and those rows of down.</summary>
public sealed unsafe class ExpertTile : IDisposable
{
    private readonly MappedFile _file;
    private readonly nint[] _blocks;
    private readonly long _offset;

    internal ExpertTile(ExpertLayout layout, ExpertSlice slice, string path, long fileBytes, long offset, int firstBlock, int endBlock)
    {
        (Layout, Slice, FirstBlock, EndBlock, _offset) = (layout, slice, firstBlock, endBlock, offset);
        Bytes = layout.Bytes(firstBlock, endBlock);
        _file = MappedFile.Open(path);
        if (_file.Length != fileBytes)
        {
            _file.Dispose();
            throw new ModelException($"{path}: changed its length while it was opened");
        }
        _blocks = new nint[endBlock - firstBlock];
        for (var block = firstBlock; block < endBlock; block++)
        {
            _blocks[block - firstBlock] = (nint)(_file.Start + offset);
            offset += layout.Blocks[block].Bytes;
        }
    }

    public ExpertLayout Layout { get; }

    public ExpertSlice Slice { get; }

    /// <summary>First expert block.</summary>
    public int FirstBlock { get; }

    /// <summary>One past the last expert block.</summary>
    public int EndBlock { get; }

    /// <summary>Bytes of weights and scales, padding included: what a pass over this tile reads.</summary>
    public long Bytes { get; }

    /// <summary>Reads a byte of every page, so that the first token does not wait for the disk.</summary>
    public void Touch() => _file.Touch(_offset, Bytes);

    /// <summary>A panel of gate (even index) or up (odd index) of an expert block.</summary>
    internal PanelOperands InputPanel(int block, int index) => new()
    {
        Weights = Start(block) + index * Layout.InputPanelBytes,
        Scales = Layout.Format.HasScaleTable() ? (ushort*)(Start(block) + Layout.Blocks[block].InputScales) + index * Layout.InputAxis.Groups * PanelLayout.Columns : null,
        ScaleStride = PanelLayout.Columns,
        FirstGroup = 0,
        Blocks = Layout.InputAxis.BlockPointer,
        FirstBlock = 0,
        EndBlock = Layout.InputAxis.BlockCount,
    };

    /// <summary>A panel of down over the hidden rows of an expert block.</summary>
    internal PanelOperands DownPanel(int block, int panel)
    {
        var layout = Layout.Blocks[block];
        return new PanelOperands
        {
            Weights = Start(block) + layout.DownWeights + panel * layout.DownPanelBytes,
            Scales = Layout.Format.HasScaleTable() ? (ushort*)(Start(block) + layout.DownScales) + panel * PanelLayout.Columns : null,
            ScaleStride = PanelLayout.PaddedColumns(Layout.Columns),
            FirstGroup = layout.FirstGroup,
            Blocks = Layout.HiddenAxis.BlockPointer,
            FirstBlock = layout.FirstActivationBlock,
            EndBlock = layout.EndActivationBlock,
        };
    }

    public void Dispose() => _file.Dispose();

    private byte* Start(int block) => (byte*)_blocks[block - FirstBlock];
}
