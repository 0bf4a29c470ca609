using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Model.Store;

/// <summary>A slice of one expert, mapped from the store: hidden columns [Start, End) of gate and up, and those rows of down.</summary>
public sealed unsafe class ExpertTile : IDisposable
{
    private readonly WeightRange _weights;
    private readonly nint[] _blocks;

    internal ExpertTile(ExpertLayout layout, ExpertSlice slice, string path, long fileBytes, long offset, int firstBlock, int endBlock)
    {
        (Layout, Slice, FirstBlock, EndBlock) = (layout, slice, firstBlock, endBlock);
        _weights = new WeightRange(path, fileBytes, offset, layout.Bytes(firstBlock, endBlock));
        _blocks = new nint[endBlock - firstBlock];
        FindBlocks();
    }

    public ExpertLayout Layout { get; }

    public ExpertSlice Slice { get; }

    /// <summary>First expert block.</summary>
    public int FirstBlock { get; }

    /// <summary>One past the last expert block.</summary>
    public int EndBlock { get; }

    /// <summary>Bytes of weights and scales, padding included: what a pass over this tile reads.</summary>
    public long Bytes => _weights.Length;

    /// <summary>Brings every page into memory; not while the tile is in use.</summary>
    /// <exception cref="ModelException">The file changed or cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    public void Load(WeightMemory memory)
    {
        _weights.Load(memory);
        FindBlocks();
    }

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

    public void Dispose() => _weights.Dispose();

    private void FindBlocks()
    {
        var start = _weights.Start;
        for (var block = FirstBlock; block < EndBlock; block++)
        {
            _blocks[block - FirstBlock] = (nint)start;
            start += Layout.Blocks[block].Bytes;
        }
    }

    private byte* Start(int block) => (byte*)_blocks[block - FirstBlock];
}
