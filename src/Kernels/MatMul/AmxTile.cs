using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>What a kernel of <see cref="AmxTileWriter"/> computes: a tile of rows times a panel. Its layout is known to the code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct AmxTile
{
    /// <summary>Rows of a tile register, and its bytes a row.</summary>
    public const int RegisterRows = 16, ChunkBytes = 64;

    /// <summary>Most rows: two registers, each with two of sums.</summary>
    public const int MaxRows = 2 * RegisterRows;

    /// <summary>Bytes of the shapes of all tile registers.</summary>
    public const int ShapeBytes = 64;

    /// <summary>The rows' parts of the first block of the run, then of the next; see <see cref="RowTiles"/>.</summary>
    public sbyte* Values;
    public float* Scales;
    public int* Offsets;

    /// <summary>The blocks of the run, and the end of the last.</summary>
    public Block* Blocks;
    public Block* BlocksEnd;

    /// <summary>What is added to each block's addresses for the panel, in bytes.</summary>
    public long PanelWeights;
    public long PanelScales;

    /// <summary>Row 0 of the panel's result, 32 float32, and bytes from a row to the next.</summary>
    public float* Y;
    public long YStride;

    /// <summary>[rows, 32] int32: a block's products on their way from tile registers to vectors.</summary>
    public int* Products;

    /// <summary>[<see cref="ShapeBytes"/>] for ldtilecfg.</summary>
    public byte* Shapes;

    /// <summary>From a block's weights to those of which this tile brings lines to the cache, and bytes that this moves on after each product.</summary>
    public long AheadBytes;
    public long AheadStep;

    /// <summary>Where the first panel has the weights and scales (bfloat16 [32]) of an activation block.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Block
    {
        public byte* Weights;
        public ushort* Scales;
    }
}
