using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Model.Store;

/// <summary>A slice of one expert, mapped from the store: hidden columns [Start, End) of gate and up, and those rows of down.</summary>
public sealed unsafe class ExpertTile : IDisposable
{
    // Null for a view, which others keep in memory.
    private readonly WeightRange? _weights;
    private readonly nint[] _blocks;
    private readonly string _path = "";

    internal ExpertTile(ExpertLayout layout, ExpertSlice slice, string path, long fileBytes, long offset, int firstBlock, int endBlock)
    {
        (Layout, Slice, FirstBlock, EndBlock, _path) = (layout, slice, firstBlock, endBlock, path);
        _weights = new WeightRange(path, fileBytes, offset, layout.Bytes(firstBlock, endBlock));
        _blocks = new nint[endBlock - firstBlock];
        FindBlocks();
    }

    private ExpertTile(ExpertLayout layout, ExpertSlice slice, int firstBlock, nint[] blocks) =>
        (Layout, Slice, FirstBlock, EndBlock, _blocks) = (layout, slice, firstBlock, firstBlock + blocks.Length, blocks);

    public ExpertLayout Layout { get; }

    public ExpertSlice Slice { get; }

    /// <summary>First expert block.</summary>
    public int FirstBlock { get; }

    /// <summary>One past the last expert block.</summary>
    public int EndBlock { get; }

    /// <summary>Bytes of weights and scales, padding included: what a pass over this tile reads.</summary>
    public long Bytes => Layout.Bytes(FirstBlock, EndBlock);

    /// <summary>First of <see cref="Bytes"/>, of a tile that is not a view: another after <see cref="Load"/>.</summary>
    internal nint Address => _blocks[0];

    /// <summary>Brings every page into memory; not while the tile is in use.</summary>
    /// <exception cref="ModelException">The file changed or cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled on the way; it may be loaded again.</exception>
    public void Load(WeightMemory memory, CancellationToken cancel)
    {
        _weights?.Load(memory, cancel);
        FindBlocks();
    }

    /// <summary>Gives the memory of some blocks back to the system; neither this tile nor a view of it may use them any more.</summary>
    public void GiveBack(int firstBlock, int endBlock) => _weights?.GiveBack(Layout.Bytes(FirstBlock, firstBlock), Layout.Bytes(firstBlock, endBlock));

    /// <summary>A panel of gate (even index) or up (odd index) of an expert block; the panels follow each other.</summary>
    internal PanelOperands InputPanel(int block, int index) => new()
    {
        Weights = Start(block) + index * Layout.InputPanelBytes,
        Scales = Layout.Format.HasScaleTable() ? (ushort*)(Start(block) + Layout.Blocks[block].InputScales) + index * Layout.InputAxis.Groups * PanelLayout.Columns : null,
        ScaleStride = PanelLayout.Columns,
        PanelBytes = Layout.InputPanelBytes,
        PanelScales = Layout.InputAxis.Groups * PanelLayout.Columns,
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
            PanelBytes = layout.DownPanelBytes,
            PanelScales = PanelLayout.Columns,
            FirstGroup = layout.FirstGroup,
            Blocks = Layout.HiddenAxis.BlockPointer,
            FirstBlock = layout.FirstActivationBlock,
            EndBlock = layout.EndActivationBlock,
        };
    }

    /// <summary>
    /// Some columns of an expert as one tile, wherever in memory each of its blocks is: usable as long as the tiles that hold
    /// them, and to be made after their <see cref="Load"/>.
    /// </summary>
    /// <param name="layout">The experts' layout.</param>
    /// <param name="slice">The columns.</param>
    /// <param name="holders">For every block of the expert the tile that holds it, or null.</param>
    /// <returns>Null when a block is not held, or the columns are off the edges of expert blocks.</returns>
    public static ExpertTile? View(ExpertLayout layout, ExpertSlice slice, ReadOnlySpan<ExpertTile?> holders)
    {
        if (!layout.IsOnEdges(slice.Start, slice.End))
            return null;
        var (first, end) = layout.BlockRange(slice.Start, slice.End);
        var blocks = new nint[end - first];
        for (var block = first; block < end; block++)
            if (holders[block] is { } holder)
                blocks[block - first] = holder._blocks[block - holder.FirstBlock];
            else
                return null;
        return new ExpertTile(layout, slice, first, blocks);
    }

    public void Dispose() => _weights?.Dispose();

    /// <summary>Checks every block, in the memory that is computed with.</summary>
    /// <param name="sha256">What each must have, lower-case hexadecimal.</param>
    /// <param name="cancel">Gives up, before the next block.</param>
    /// <exception cref="ModelException">One has another; the message names it.</exception>
    /// <exception cref="OperationCanceledException">Cancelled between two blocks.</exception>
    public void Check(IReadOnlyList<string> sha256, CancellationToken cancel)
    {
        for (var block = FirstBlock; block < EndBlock; block++)
        {
            cancel.ThrowIfCancellationRequested();
            if (StoreWriter.BlockHash(Block(block)) != sha256[block - FirstBlock])
                throw new ModelException($"{_path}: block {block} (layer {Slice.Layer} expert {Slice.Expert}, columns from {Layout.Blocks[block].FirstColumn}) has another SHA-256 than in the manifest; import the model again, or copy this file anew");
        }
    }

    /// <summary>The bytes of an expert block.</summary>
    private ReadOnlySpan<byte> Block(int block) => new(Start(block), checked((int)Layout.Blocks[block].Bytes));

    private void FindBlocks()
    {
        if (_weights is null)
            return;
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
