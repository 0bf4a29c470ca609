using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>A view of a matrix <c>W[K, N]</c> in the layout of <see cref="PanelLayout"/>; it does not own the memory.</summary>
/// <param name="Format">Element format.</param>
/// <param name="Axis">The reduction axis, K.</param>
/// <param name="Columns">Output columns, N.</param>
/// <param name="Weights">PanelCount(Columns) panels, one after the other.</param>
/// <param name="Scales">bfloat16 [Axis.Groups, PaddedColumns(Columns)]; zero where the format has no table of scales.</param>
public readonly unsafe record struct PackedMatrix(WeightFormat Format, ReductionAxis Axis, int Columns, nint Weights, nint Scales)
{
    public int PanelCount => PanelLayout.PanelCount(Columns);

    /// <summary>Bytes of the panels, a table of scales apart.</summary>
    public long WeightBytes => PanelCount * PanelLayout.PanelBytes(Format, Axis.PaddedLength);

    /// <summary>The operands of one panel over the whole axis.</summary>
    public PanelOperands Panel(int panel) => new()
    {
        Weights = (byte*)Weights + panel * PanelLayout.PanelBytes(Format, Axis.PaddedLength),
        Scales = Scales == 0 ? null : (ushort*)Scales + panel * PanelLayout.Columns,
        ScaleStride = PanelLayout.PaddedColumns(Columns),
        PanelBytes = PanelLayout.PanelBytes(Format, Axis.PaddedLength),
        PanelScales = PanelLayout.Columns,
        FirstGroup = 0,
        Blocks = Axis.BlockPointer,
        FirstBlock = 0,
        EndBlock = Axis.BlockCount,
    };
}
