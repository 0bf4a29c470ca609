using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Cuda.Attention;

// The structs of kv_layout.cuh, kv_store.cu and attention.cu, field by field; addresses are of device memory.

/// <summary>Heads, and how a KV block's part of one layer is laid out.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvShape
{
    public int HeadDim;
    public int KvHeads;
    public int QueryHeads;

    /// <summary>V panels of a head.</summary>
    public int ValuePanels;

    public int HeadBytes;
    public int ScaleBytes;
}

/// <summary>Where a row stands.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RowPlace
{
    /// <summary>Its KV block, all layers.</summary>
    public nint Block;

    public int Position;
    private int _unused;
}

/// <summary>Rotates queries and keys, stores keys and values.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvStore
{
    public KvShape Shape;
    public nint Rows;
    public nint Places;
    public nint Cosines;
    public nint Sines;

    /// <summary>Bytes from a block's address to the layer's part.</summary>
    public long Layer;

    public int Stride;
    public int Key;
    public int Value;
    private int _unused;
}

/// <summary>Queries of one run and one KV head that a thread block takes, and splits of their context.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct AttentionTile
{
    public int FirstRow;
    public int Start;
    public int FirstBlock;
    public int FirstQuery;
    public int Queries;
    public int FirstSplit;
    public int EndSplit;

    /// <summary>Where sums go; -1: to the output, divided.</summary>
    public int Partial;
}

/// <summary>A tile whose splits were taken by several thread blocks.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct AttentionMerge
{
    public int FirstRow;
    public int FirstQuery;
    public int Queries;
    public int Partial;
    public int Splits;
    private int _unused;
}

/// <summary>Attention of a batch in one layer.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct AttentionCall
{
    public KvShape Shape;
    public nint Tiles;
    public nint Merges;
    public nint Blocks;
    public nint Queries;
    public nint Output;
    public nint Partials;
    public long Layer;
    public int QueryStride;
    public int TileQueries;
    public float Factor;
    public float SoftCap;
}
