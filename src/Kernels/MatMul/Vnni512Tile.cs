using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>What a kernel of <see cref="Vnni512TileWriter"/> computes. Its layout is known to the code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Vnni512Tile
{
    /// <summary>Most rows of a tile: two accumulators each and eight registers to point to them.</summary>
    public const int MaxRows = 8;

    /// <summary>The panel's weights at the first block.</summary>
    public byte* Weights;

    /// <summary>[BlockCount], int8 only.</summary>
    public Block* Blocks;

    /// <summary>Activation blocks, one at least.</summary>
    public long BlockCount;

    /// <summary>Row 0 of the result, 32 float32.</summary>
    public float* Y;

    /// <summary>Bytes from a row of the result to the next.</summary>
    public long YStride;

    /// <summary>Bytes from a panel's result to the next panel's, int4 only.</summary>
    public long PanelStride;

    /// <summary><see cref="Y"/> of the panel after the last, int4 only: its panels are one stream.</summary>
    public float* YEnd;

    /// <summary>Each row's activations (sbyte*), scales (float*) and sums (int*) at the first block.</summary>
    public fixed long X[MaxRows];
    public fixed long Scales[MaxRows];
    public fixed long Sums[MaxRows];

    /// <summary>One activation block of int8 weights.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Block
    {
        /// <summary>Its PaddedLength.</summary>
        public long Length;

        /// <summary>bfloat16 scales of the panel's 32 columns.</summary>
        public ushort* Scales;
    }
}
