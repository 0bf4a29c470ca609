using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// One tensor of <c>dense.bin</c>: what the coordinator needs. Plain tensors are row-major float32; packed ones are matrices
/// in the layout of <see cref="PanelLayout"/>, followed by their scales.
/// </summary>
/// <param name="Role">What it is; a packed Embedding is the head, <c>embedding^T</c>.</param>
/// <param name="Layer">The layer, 0 for tensors that occur once.</param>
/// <param name="Rows">Rows: the reduction axis K of a packed matrix.</param>
/// <param name="Columns">Columns: N.</param>
/// <param name="Format">Float32 when plain.</param>
/// <param name="Axis">The reduction axis of a packed matrix; null when plain.</param>
/// <param name="Offset">Bytes from the start of the file.</param>
public sealed record DenseTensor(TensorRole Role, int Layer, int Rows, int Columns, WeightFormat Format, ReductionAxis? Axis, long Offset)
{
    /// <summary>Every tensor, and its scales, start on a multiple of this many bytes.</summary>
    public const int Alignment = 64;

    /// <summary>Rows of a plain tensor that are written at a time.</summary>
    private const int RowsPerPiece = 256;

    public bool IsPacked => Axis is not null;

    /// <summary>For people: <c>layer-03.query</c>, <c>embedding</c>, <c>head</c>.</summary>
    public string Name
    {
        get
        {
            var role = char.ToLowerInvariant(Role.ToString()[0]) + Role.ToString()[1..];
            return Role.IsPerLayer() ? $"layer-{Layer:00}.{role}" : Role == TensorRole.Embedding && IsPacked ? "head" : role;
        }
    }

    /// <summary>Bytes of the elements, a table of scales apart.</summary>
    public long WeightBytes => IsPacked
        ? PanelLayout.PanelCount(Columns) * PanelLayout.PanelBytes(Format, Axis!.PaddedLength)
        : (long)Rows * Columns * sizeof(float);

    /// <summary>bfloat16 [Axis.Groups, PaddedColumns]; 0 without a table of scales.</summary>
    public long ScaleBytes => IsPacked && Format.HasScaleTable() ? (long)Axis!.Groups * PanelLayout.PaddedColumns(Columns) * sizeof(ushort) : 0;

    /// <summary>Bytes from the start of the file to the scales.</summary>
    public long ScalesOffset => Align(Offset + WeightBytes);

    /// <summary>One past the last byte, aligned.</summary>
    public long End => Align(ScalesOffset + ScaleBytes);

    /// <summary>Pieces in which a plain tensor is written, so that no buffer holds the whole of it.</summary>
    public int PieceCount => (Rows + RowsPerPiece - 1) / RowsPerPiece;

    /// <summary>Rows [first, end) of one piece of a plain tensor.</summary>
    public (int First, int End) Piece(int piece) => (piece * RowsPerPiece, Math.Min(Rows, (piece + 1) * RowsPerPiece));

    internal static long Align(long offset) => (offset + Alignment - 1) / Alignment * Alignment;
}
