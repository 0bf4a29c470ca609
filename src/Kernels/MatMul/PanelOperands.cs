using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// One panel of packed weights over a run of activation blocks: the right side of a panel product.
/// </summary>
public unsafe struct PanelOperands
{
    /// <summary>The panel's weights at the first block (see <see cref="PanelLayout"/>).</summary>
    public byte* Weights;

    /// <summary>bfloat16 scales of the panel's 32 columns for weight group <see cref="FirstGroup"/>; null where there is no table of scales.</summary>
    public ushort* Scales;

    /// <summary>Elements between the scales of one weight group and the next.</summary>
    public int ScaleStride;

    /// <summary>Bytes from the panel's weights to the next panel's, of panels that follow each other.</summary>
    public long PanelBytes;

    /// <summary>Elements from the panel's scales to the next panel's.</summary>
    public int PanelScales;

    /// <summary>The weight group that <see cref="Scales"/> points to.</summary>
    public int FirstGroup;

    /// <summary>All blocks of the axis.</summary>
    public ActivationBlock* Blocks;

    /// <summary>First block of the run.</summary>
    public int FirstBlock;

    /// <summary>One past the last block of the run.</summary>
    public int EndBlock;
}
