using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Model.Store;

/// <summary>A slice of one expert, mapped from the store: hidden columns [Start, End) of gate and up, and those rows of down.</summary>
public sealed unsafe class ExpertTile : IDisposable
{
    private readonly WeightRange _weights;
    private readonly nint[] _blocks;
    private readonly bool _isView;

    internal ExpertTile(ExpertLayout layout, ExpertSlice slice, string path, long fileBytes, long offset, int firstBlock, int endBlock)
    {
        (Layout, Slice, FirstBlock, EndBlock) = (layout, slice, firstBlock, endBlock);
        _weights = new WeightRange(path, fileBytes, offset, layout.Bytes(firstBlock, endBlock));
        _blocks = new nint[endBlock - firstBlock];
        FindBlocks();
    }

    private ExpertTile(ExpertTile whole, ExpertSlice slice, int firstBlock, int endBlock)
    {
        (Layout, Slice, FirstBlock, EndBlock, _weights) = (whole.Layout, slice, firstBlock, endBlock, whole._weights);
        _isView = true;
        _blocks = whole._blocks[(firstBlock - whole.FirstBlock)..(endBlock - whole.FirstBlock)];
    }

    public ExpertLayout Layout { get; }

    public ExpertSlice Slice { get; }

    /// <summary>First expert block.</summary>
    public int FirstBlock { get; }

    /// <summary>One past the last expert block.</summary>
    public int EndBlock { get; }

    /// <summary>Bytes of weights and scales, padding included: what a pass over this tile reads.</summary>
    public long Bytes => Layout.Bytes(FirstBlock, EndBlock);

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

    /// <summary>Some columns of this tile, in the same memory: usable after <see cref="Load"/> and as long as this tile.</summary>
    /// <returns>Null when they are not all in this tile, or off the edges of expert blocks.</returns>
    public ExpertTile? View(ExpertSlice slice)
    {
        if ((slice.Layer, slice.Expert) != (Slice.Layer, Slice.Expert) || slice.Start < Slice.Start || slice.End > Slice.End || !Layout.IsOnEdges(slice.Start, slice.End))
            return null;
        var (first, end) = Layout.BlockRange(slice.Start, slice.End);
        return new ExpertTile(this, slice, first, end);
    }

    public void Dispose()
    {
        if (!_isView)
            _weights.Dispose();
    }

    private void FindBlocks()
    {
        var start = _weights.Start;
        for (var block = FirstBlock; block < EndBlock; block++)
        {
            _blocks[block - FirstBlock] = (nint)start;
            start += Layout.Blocks[block].Bytes;
        }
    }

    /// <summary>First byte of an expert block of this tile; blocks follow each other.</summary>
    internal byte* Start(int block) => (byte*)_blocks[block - FirstBlock];
}
