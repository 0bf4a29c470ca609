using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// What int8 matrices that sum over one axis have in common on the device (expert_layout.cuh): every activation block is padded to
/// tiles of 32 rows, and a panel's rows of scales follow its tiles.
/// </summary>
internal sealed class CudaAxis
{
    private readonly int _blocksAt, _repackAt;
    private readonly int[] _firstElements;

    /// <param name="store">The axis as the store has it.</param>
    /// <param name="table">Receives what the kernels read.</param>
    public CudaAxis(ReductionAxis store, DeviceTable table)
    {
        Store = store;
        var blocks = new StreamBlock[store.BlockCount];
        var tiles = CudaExpertLayout.Fill(store, blocks, 0);
        _firstElements = [.. blocks.Select(block => block.Tile * CudaExpertLayout.TileRows)];
        Stride = tiles * CudaExpertLayout.TileRows;
        WeightBytes = tiles * CudaExpertLayout.Int8TileBytes;
        PanelBytes = PanelBytesOf(store);
        for (var b = 0; b < blocks.Length; b++)
        {
            blocks[b].PanelBytes = PanelBytes;
            blocks[b].Weights = blocks[b].Tile * CudaExpertLayout.Int8TileBytes;
            blocks[b].Scales = WeightBytes + store.Blocks[b].Group * CudaExpertLayout.ScaleRowBytes;
        }
        var repack = new List<RepackBlock>();
        CudaExpertLayout.AddRepack(repack, store.Blocks, blocks, isInt4: false);
        (_blocksAt, _repackAt) = (table.Add<StreamBlock>(blocks), table.Add<RepackBlock>([.. repack]));
    }

    public ReductionAxis Store { get; }

    /// <summary>Activations of a row, padded.</summary>
    public int Stride { get; }

    /// <summary>Bytes of a panel's tiles, after which its scales come.</summary>
    public int WeightBytes { get; }

    public int PanelBytes { get; }

    /// <summary>Bytes of a panel over an axis, before there is one on a device.</summary>
    public static int PanelBytesOf(ReductionAxis store)
    {
        var tiles = 0;
        foreach (var block in store.Blocks)
            tiles += (block.Length + CudaExpertLayout.TileRows - 1) / CudaExpertLayout.TileRows;
        return tiles * CudaExpertLayout.Int8TileBytes + store.Groups * CudaExpertLayout.ScaleRowBytes;
    }

    /// <summary>Where a block begins in a row of activations.</summary>
    public int FirstElement(int block) => _firstElements[block];

    /// <summary>Device address of the axis' blocks, in tables that begin at <paramref name="tables"/>.</summary>
    public nint Blocks(nint tables) => tables + _blocksAt;

    /// <summary>Device address of the table for repacking panels.</summary>
    public nint Repack(nint tables) => tables + _repackAt;
}
