using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Where everything of one expert lies. FeedForwardDim is cut into expert blocks of <see cref="BlockWidth"/> hidden columns;
/// a block holds the gate and up columns and the matching rows of down side by side, so any slice on block edges is one
/// contiguous read, verified on its own. Inside a block, each part aligned to 64 bytes:
/// <code>
/// gate panel 0, up panel 0, gate panel 1, up panel 1, ...   [EmbeddingDim padded, 32] each
/// gate scales 0, up scales 0, ...                           bfloat16 [gate groups, 32] each
/// down panel 0, down panel 1, ...                           [hidden rows of the block padded, 32] each
/// down scales                                               bfloat16 [groups that the block touches, EmbeddingDim padded]
/// </code>
/// Formats without a table of scales leave those parts empty.
/// Everything follows from the config and the formats; a store's manifest must agree with it.
/// </summary>
public sealed class ExpertLayout : IDisposable
{
    private const int PartAlignment = 64;
    private readonly ExpertBlock[] _blocks;

    /// <param name="config">The model.</param>
    /// <param name="format">Format of all three matrices.</param>
    /// <param name="gateGroups">Weight groups of gate and up along EmbeddingDim.</param>
    /// <param name="downGroups">Weight groups of down along FeedForwardDim.</param>
    /// <param name="blockWidth">32, 64 or 128.</param>
    public ExpertLayout(Grok1Config config, WeightFormat format, int gateGroups, int downGroups, int blockWidth)
    {
        if (blockWidth is not (32 or 64 or 128))
            throw new ModelException($"expert blocks of {blockWidth} columns: 32, 64 and 128 are supported");
        Format = format;
        BlockWidth = blockWidth;
        Columns = config.EmbeddingDim;
        FeedForwardDim = config.FeedForwardDim;
        InputAxis = new ReductionAxis(config.EmbeddingDim, gateGroups, null, format);
        HiddenAxis = new ReductionAxis(config.FeedForwardDim, downGroups, blockWidth, format);
        _blocks = new ExpertBlock[(config.FeedForwardDim + blockWidth - 1) / blockWidth];
        for (var i = 0; i < _blocks.Length; i++)
            _blocks[i] = LayOut(i);
    }

    public WeightFormat Format { get; }

    /// <summary>Hidden columns of a block; the last block of an expert may have fewer.</summary>
    public int BlockWidth { get; }

    /// <summary>Output columns of down: EmbeddingDim.</summary>
    public int Columns { get; }

    public int FeedForwardDim { get; }

    /// <summary>What gate and up sum over: EmbeddingDim.</summary>
    public ReductionAxis InputAxis { get; }

    /// <summary>What down sums over: FeedForwardDim, also cut at expert blocks.</summary>
    public ReductionAxis HiddenAxis { get; }

    public IReadOnlyList<ExpertBlock> Blocks => _blocks;

    /// <summary>Bytes of one gate or up panel.</summary>
    public long InputPanelBytes => PanelLayout.PanelBytes(Format, InputAxis.PaddedLength);

    /// <summary>The widest block that still gives an expert 16 of them, so that up to 16 workers can share it.</summary>
    public static int ChooseBlockWidth(int feedForwardDim) => feedForwardDim / 128 >= 16 ? 128 : feedForwardDim / 64 >= 16 ? 64 : 32;

    /// <summary>Bytes of a run of blocks.</summary>
    public long Bytes(int firstBlock, int endBlock)
    {
        var bytes = 0L;
        for (var i = firstBlock; i < endBlock; i++)
            bytes += _blocks[i].Bytes;
        return bytes;
    }

    /// <summary>Bytes of the blocks that cover hidden columns [start, end).</summary>
    /// <exception cref="ModelException">An edge is not on a block edge.</exception>
    public (int First, int End) BlockRange(int start, int end)
    {
        if (!IsOnEdges(start, end))
            throw new ModelException($"the slice [{start}, {end}) of FeedForwardDim {FeedForwardDim} does not lie on edges of expert blocks of {BlockWidth}");
        return (start / BlockWidth, (end + BlockWidth - 1) / BlockWidth);
    }

    /// <summary>The hidden columns of a run of blocks.</summary>
    public ExpertSlice Slice(int layer, int expert, int firstBlock, int endBlock) =>
        new(layer, expert, firstBlock * BlockWidth, Math.Min(endBlock * BlockWidth, FeedForwardDim));

    /// <summary>Whether hidden columns [start, end) are some expert blocks, whole.</summary>
    public bool IsOnEdges(int start, int end) =>
        start >= 0 && start < end && end <= FeedForwardDim && start % BlockWidth == 0 && (end % BlockWidth == 0 || end == FeedForwardDim);

    public void Dispose()
    {
        InputAxis.Dispose();
        HiddenAxis.Dispose();
    }

    private ExpertBlock LayOut(int index)
    {
        var first = index * BlockWidth;
        var end = Math.Min(first + BlockWidth, FeedForwardDim);
        int firstActivation = HiddenAxis.BlockAt(first), endActivation = HiddenAxis.BlockAt(end);
        var paddedRows = 0;
        for (var b = firstActivation; b < endActivation; b++)
            paddedRows += HiddenAxis.Blocks[b].PaddedLength;
        var firstGroup = HiddenAxis.Blocks[firstActivation].Group;
        var groups = HiddenAxis.Blocks[endActivation - 1].Group - firstGroup + 1;
        var panels = PanelLayout.PanelCount(end - first);
        var scaled = Format.HasScaleTable() ? 1 : 0;

        var inputScales = Align(panels * 2 * InputPanelBytes);
        var downWeights = Align(inputScales + scaled * panels * 2 * InputAxis.Groups * PanelLayout.Columns * sizeof(ushort));
        var downPanelBytes = PanelLayout.PanelBytes(Format, paddedRows);
        var downScales = Align(downWeights + PanelLayout.PanelCount(Columns) * downPanelBytes);
        var bytes = Align(downScales + (long)scaled * groups * PanelLayout.PaddedColumns(Columns) * sizeof(ushort));
        return new ExpertBlock(first, end - first, firstActivation, endActivation, paddedRows, firstGroup, groups, inputScales, downWeights, downScales, downPanelBytes, bytes);
    }

    private static long Align(long offset) => (offset + PartAlignment - 1) / PartAlignment * PartAlignment;
}

/// <summary>One expert block; offsets are bytes from its start, the gate and up panels being at 0.</summary>
/// <param name="FirstColumn">First hidden column.</param>
/// <param name="Width">Hidden columns.</param>
/// <param name="FirstActivationBlock">First block of the hidden axis.</param>
/// <param name="EndActivationBlock">One past the last.</param>
/// <param name="PaddedRows">Rows of a down panel.</param>
/// <param name="FirstGroup">Weight group of down that holds the first row.</param>
/// <param name="Groups">Weight groups of down that the block touches.</param>
/// <param name="InputScales">Gate and up scales.</param>
/// <param name="DownWeights">Down panels.</param>
/// <param name="DownScales">Down scales.</param>
/// <param name="DownPanelBytes">Bytes of one down panel.</param>
/// <param name="Bytes">The whole block.</param>
public sealed record ExpertBlock(
    int FirstColumn, int Width, int FirstActivationBlock, int EndActivationBlock, int PaddedRows, int FirstGroup, int Groups,
    long InputScales, long DownWeights, long DownScales, long DownPanelBytes, long Bytes)
{
    /// <summary>Panels of gate, and of up.</summary>
    public int Panels => PanelLayout.PanelCount(Width);
}
