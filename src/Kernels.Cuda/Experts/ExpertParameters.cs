using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Cuda.Experts;

// The structs of expert_layout.cuh, expert_input.cu and repack.cu, field by field; addresses are of device memory.

/// <summary>One activation block of an axis, and where its weights are: panel i begins at Base + i * PanelBytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct StreamBlock
{
    /// <summary>Bytes from what a call gives as the start.</summary>
    public long Base;

    /// <summary>Bytes from one panel to the next.</summary>
    public int PanelBytes;

    /// <summary>Bytes from the panel's start to the block's first tile.</summary>
    public int Weights;

    /// <summary>Bytes from the panel's start to the block's row of scales.</summary>
    public int Scales;

    /// <summary>First tile of 32 along the axis.</summary>
    public int Tile;

    /// <summary>1 to 4.</summary>
    public int Tiles;

    /// <summary>First index of the axis.</summary>
    public int Start;

    /// <summary>Indices.</summary>
    public int Length;

    private int _unused;
}

/// <summary>One tile of a call: a run of pairs that goes through some expert blocks of one expert.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ExpertItem
{
    /// <summary>Where block 0 of the expert would be.</summary>
    public nint Weights;

    public int FirstPair;

    /// <summary>0 fills a table up.</summary>
    public int Pairs;

    /// <summary>Expert blocks [FirstBlock, EndBlock).</summary>
    public int FirstBlock, EndBlock;

    /// <summary>Hidden panels of the items before this one.</summary>
    public int FirstPanel;

    /// <summary>Activation blocks of the hidden axis [FirstHidden, EndHidden).</summary>
    public int FirstHidden, EndHidden;

    private int _unused;
}

/// <summary>What is the same for every call of a model; see expert_layout.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ExpertShape
{
    public nint InputBlocks;
    public nint HiddenBlocks;
    public nint BlockOffsets;
    public nint HiddenPositions;
    public int InputBlockCount;
    public int InputStride;
    public int InputPanelBytes;
    public int BlockWidth;
    public int FeedForwardDim;
    public int HiddenStride;
    public int HiddenBlockCount;
    public int Columns;
}

/// <summary>A call: kernels find their work in tables, so a launch differs from the next in its grid alone.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ExpertCall
{
    public ExpertShape Shape;
    public nint Items;
    public nint Rows;
    public nint Gates;
    public nint XValues;
    public nint XScales;
    public nint XFloats;
    public nint Hidden;
    public nint HiddenValues;
    public nint HiddenScales;
    public nint Y;
    public nint TouchedRows;
    public nint RowStarts;
    public nint RowPairs;
    public nint Sum;
    public int ItemCount;
    public int RowCount;
}

/// <summary>Parameters of the input kernels.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ExpertInputLaunch
{
    public ExpertCall Call;
    public int Panels;
}

/// <summary>One activation block of panels that are repacked.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RepackBlock
{
    /// <summary>Rows in the store, padding counted.</summary>
    public int Rows;

    /// <summary>Bytes from the source panel's start.</summary>
    public int Source;

    /// <summary>Bytes from the target panel's start.</summary>
    public int Target;

    public int Tiles;
}

/// <summary>Panels of the store's layout and where they go.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RepackPanels
{
    public nint Source;
    public nint Target;
    public nint Blocks;
    public long SourcePanelBytes;
    public long TargetPanelBytes;
    public nint Scales;
    public long ScalePanelStride;
    public long ScaleGroupStride;
    public long TargetScales;
    public int BlockCount;
}
