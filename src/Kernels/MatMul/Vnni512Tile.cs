using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>What a kernel of <see cref="Vnni512TileWriter"/> computes. Its layout is known to the code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Vnni512Tile
{
    /// <summary>Most rows of a tile: two accumulators each, and eight registers to point to them.</summary>
    public const int MaxRows = 8;

    /// <summary>Most rows of a tile over two panels at once: four accumulators each.</summary>
    public const int MaxRowsOfPairs = 4;

    /// <summary>The panel's weights at the first block of the run.</summary>
    public byte* Weights;

    /// <summary>From a block's weights to those that another tile or run will want, of which every step brings some lines to L1.</summary>
    public long AheadBytes;

    /// <summary>Bytes that this moves on in a step, within a block.</summary>
    public long AheadStep;

    /// <summary>The blocks from the first of the run.</summary>
    public Block* Blocks;

    /// <summary>First block of the run, and one past its last.</summary>
    public long FirstBlock;
    public long EndBlock;

    /// <summary>The first block's PaddedStart.</summary>
    public long FirstK;

    /// <summary>The tile's rows.</summary>
    public Row* Rows;

    /// <summary>Row 0 of the panel's result, 32 float32. The kernel moves it on.</summary>
    public float* Y;

    /// <summary>Bytes from a row of the result to the next.</summary>
    public long YStride;

    /// <summary>Bytes from a panel's result to the next panel's; panels follow each other in memory.</summary>
    public long PanelStride;

    /// <summary><see cref="Y"/> of the panel after the last.</summary>
    public float* YEnd;

    /// <summary>What is added to each block's <see cref="Block.Scales"/>, in bytes, for the panel; int8 only. The kernel moves it on.</summary>
    public long PanelScales;

    /// <summary>Bytes that <see cref="PanelScales"/> moves from a panel to the next.</summary>
    public long PanelScalesStep;

    /// <summary>Of two panels at once: bytes from the first one's weights, result and scales (int8 only) to the second one's.</summary>
    public long PairWeights;
    public long PairY;
    public long PairScales;

    /// <summary>A row of activations.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Row
    {
        /// <summary>Its values, and its scale and sum of each block.</summary>
        public sbyte* Values;
        public float* Scales;
        public int* Sums;
    }

    /// <summary>The weights of one activation block.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Block
    {
        /// <summary>Its PaddedLength; int8 only, since int4's is always the same.</summary>
        public long Length;

        /// <summary>bfloat16 scales of 32 columns; int8 only.</summary>
        public ushort* Scales;

        /// <summary>Bytes from the end of its weights to those of the next block.</summary>
        public long Skip;
    }
}
