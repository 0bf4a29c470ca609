using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Where an expert's blocks lie in device memory (expert_layout.cuh), derived from the store's layout, and the tables that the
/// kernels read. Every activation block is padded to tiles of 32 rows; for Grok-1's own geometry nothing grows but the scales
/// of down, which stay what they are.
/// </summary>
internal sealed unsafe class CudaExpertLayout : IDisposable
{
    public const int TileRows = 32;
    internal const int Int8TileBytes = TileRows * PanelLayout.Columns;
    internal const int ScaleRowBytes = PanelLayout.Columns * sizeof(ushort);

    private readonly IDeviceBuffer _tables;
    private readonly long[] _offsets;
    private readonly BlockRepack[] _repacks;

    /// <param name="device">Receives the tables.</param>
    /// <param name="stream">Copies them.</param>
    /// <param name="store">The store's layout.</param>
    public CudaExpertLayout(IKernelDevice device, IKernelStream stream, ExpertLayout store)
    {
        Store = store;
        var isInt4 = store.Format == WeightFormat.Int4;
        TileBytes = isInt4 ? PanelLayout.Int4BlockBytes : Int8TileBytes;

        var input = new StreamBlock[store.InputAxis.BlockCount];
        var inputTiles = Fill(store.InputAxis, input, 0);
        var inputWeightBytes = inputTiles * TileBytes;
        for (var b = 0; b < input.Length; b++)
        {
            input[b].Weights = input[b].Tile * TileBytes;
            input[b].Scales = isInt4 ? input[b].Weights + PanelLayout.Int4WeightBytes : inputWeightBytes + store.InputAxis.Blocks[b].Group * ScaleRowBytes;
        }
        InputPanelBytes = inputWeightBytes + (isInt4 ? 0 : store.InputAxis.Groups * ScaleRowBytes);

        var hidden = new StreamBlock[store.HiddenAxis.BlockCount];
        var hiddenTiles = Fill(store.HiddenAxis, hidden, 0);
        _offsets = new long[store.Blocks.Count + 1];
        _repacks = new BlockRepack[store.Blocks.Count];
        var repackTable = new List<RepackBlock>();
        var inputRepack = AddRepack(repackTable, store.InputAxis.Blocks, input, isInt4);
        for (var e = 0; e < store.Blocks.Count; e++)
        {
            var block = store.Blocks[e];
            var (first, end) = (block.FirstActivationBlock, block.EndActivationBlock);
            var tiles = hidden[end - 1].Tile + hidden[end - 1].Tiles - hidden[first].Tile;
            var down = (long)block.Panels * 2 * InputPanelBytes;
            var panelBytes = tiles * TileBytes + (isInt4 ? 0 : block.Groups * ScaleRowBytes);
            for (var b = first; b < end; b++)
            {
                hidden[b].Base = _offsets[e] + down;
                hidden[b].PanelBytes = panelBytes;
                hidden[b].Weights = (hidden[b].Tile - hidden[first].Tile) * TileBytes;
                hidden[b].Scales = isInt4 ? hidden[b].Weights + PanelLayout.Int4WeightBytes : tiles * TileBytes + (store.HiddenAxis.Blocks[b].Group - block.FirstGroup) * ScaleRowBytes;
            }
            _repacks[e] = new BlockRepack(down, panelBytes, tiles * TileBytes, AddRepack(repackTable, store.HiddenAxis.Blocks[first..end], hidden.AsSpan(first, end - first), isInt4), end - first);
            _offsets[e + 1] = _offsets[e] + down + (long)PanelLayout.PanelCount(store.Columns) * panelBytes;
        }

        var positions = new int[store.FeedForwardDim];
        foreach (var block in hidden)
            for (var i = 0; i < block.Length; i++)
                positions[block.Start + i] = block.Tile * TileRows + i;

        var table = new DeviceTable();
        var (inputAt, hiddenAt, offsetsAt, positionsAt, repackAt) = (
            table.Add<StreamBlock>(input), table.Add<StreamBlock>(hidden), table.Add<long>(_offsets), table.Add<int>(positions), table.Add<RepackBlock>([.. repackTable]));
        _tables = table.Upload(device, stream);
        InputRepack = _tables.Address + repackAt + inputRepack * sizeof(RepackBlock);
        HiddenRepack = _tables.Address + repackAt;
        Regular = store.InputAxis.PaddedLength == inputTiles * TileRows;
        InputBlocks = input;
        Shape = new ExpertShape
        {
            InputBlocks = _tables.Address + inputAt,
            HiddenBlocks = _tables.Address + hiddenAt,
            BlockOffsets = _tables.Address + offsetsAt,
            HiddenPositions = _tables.Address + positionsAt,
            InputBlockCount = input.Length,
            InputStride = inputTiles * TileRows,
            InputPanelBytes = InputPanelBytes,
            BlockWidth = store.BlockWidth,
            FeedForwardDim = store.FeedForwardDim,
            HiddenStride = hiddenTiles * TileRows,
            HiddenBlockCount = hidden.Length,
            Columns = store.Columns,
        };
    }

    public ExpertLayout Store { get; }

    public int TileBytes { get; }

    public int InputPanelBytes { get; }

    public ExpertShape Shape { get; }

    /// <summary>The input axis in tiles, for filling rows of activations.</summary>
    public StreamBlock[] InputBlocks { get; }

    /// <summary>Whether rows of input activations lie as the store's axis has them.</summary>
    public bool Regular { get; }

    /// <summary>Device address of the table for repacking gate and up panels.</summary>
    public nint InputRepack { get; }

    private nint HiddenRepack { get; }

    /// <summary>Bytes from an expert's block 0 to a block; of the number of blocks: the whole expert.</summary>
    public long Offset(int block) => _offsets[block];

    /// <summary>Bytes of blocks [first, end).</summary>
    public long Bytes(int first, int end) => _offsets[end] - _offsets[first];

    /// <summary>What repacking the down panels of an expert block needs.</summary>
    public (long Down, int PanelBytes, int Scales, nint Table, int Blocks) DownRepack(int block) =>
        (_repacks[block].Down, _repacks[block].PanelBytes, _repacks[block].Scales, HiddenRepack + _repacks[block].FirstEntry * sizeof(RepackBlock), _repacks[block].Blocks);

    public void Dispose() => _tables.Dispose();

    /// <summary>Tiles of each block of an axis, and their sum.</summary>
    internal static int Fill(ReductionAxis axis, StreamBlock[] blocks, int tile)
    {
        for (var b = 0; b < blocks.Length; b++)
        {
            var block = axis.Blocks[b];
            blocks[b] = new StreamBlock { Tile = tile, Tiles = (block.Length + TileRows - 1) / TileRows, Start = block.Start, Length = block.Length };
            tile += blocks[b].Tiles;
        }
        return tile;
    }

    internal static int AddRepack(List<RepackBlock> table, ReadOnlySpan<ActivationBlock> store, ReadOnlySpan<StreamBlock> blocks, bool isInt4)
    {
        var first = table.Count;
        for (var b = 0; b < blocks.Length; b++)
        {
            var rows = store[b].PaddedStart - store[0].PaddedStart;
            table.Add(new RepackBlock
            {
                Rows = store[b].PaddedLength,
                Source = isInt4 ? rows / TileRows * PanelLayout.Int4BlockBytes : rows * PanelLayout.Columns,
                Target = blocks[b].Weights,
                Tiles = blocks[b].Tiles,
            });
        }
        return first;
    }

    private readonly record struct BlockRepack(long Down, int PanelBytes, int Scales, int FirstEntry, int Blocks);
}
