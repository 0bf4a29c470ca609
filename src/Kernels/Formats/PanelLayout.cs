namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// The packed layout of a weight matrix <c>W[K, N]</c>: panels of 32 output columns, each a single stream along K.
/// <code>
/// int8  panel: for each activation block, for each 4 rows k..k+3: 32 columns x 4 bytes, stored as value + 128 (unsigned)
///              so one 32-byte vector is 8 columns x 4 rows: SIMD lanes are output columns, and the four rows of a lane
///              meet four consecutive activations, broadcast. Padding rows and columns hold weight 0.
/// int4  panel: for each activation block (32 rows, padded to 32), for each 8 rows k..k+7: 32 columns x 4 bytes. Byte j of a
///              column has row k + j in its low and row k + 4 + j in its high four bits, stored as value + 8 (unsigned), so
///              a 32-byte vector masked, and shifted and masked, is two vectors of the int8 panel. After a block's 512
///              bytes come its scales, bfloat16 [32], so that a panel is a single stream.
/// bf16, f32:   for each row k (padded as int8): 32 columns.
/// int8 scales: bfloat16 [groups, stride], apart from the weights: a panel's scales start at its first column.
/// </code>
/// The same stream serves one row and many, so a row's result does not depend on the rows that share the call.
/// The offset of 128 (8 for int4) lets one unsigned-by-signed dot instruction take weights straight from memory; it is undone by
/// subtracting it times the sum of the block's activations, exactly, in integers.
/// </summary>
public static class PanelLayout
{
    /// <summary>Output columns of a panel.</summary>
    public const int Columns = 32;

    /// <summary>What is added to an int8 weight when it is packed.</summary>
    public const int Offset = 128;

    /// <summary>What is added to an int4 weight when it is packed.</summary>
    public const int Int4Offset = 8;

    /// <summary>Bytes of the weights of an int4 block, after which its scales come.</summary>
    public const int Int4WeightBytes = WeightFormats.Int4Group * Columns / 2;

    /// <summary>Bytes of an int4 block with its scales: 9 cache lines.</summary>
    public const int Int4BlockBytes = Int4WeightBytes + Columns * sizeof(ushort);

    /// <summary>Panels that cover <paramref name="columns"/> output columns.</summary>
    public static int PanelCount(int columns) => (columns + Columns - 1) / Columns;

    /// <summary>Output columns with the last panel's padding.</summary>
    public static int PaddedColumns(int columns) => PanelCount(columns) * Columns;

    /// <summary>Bytes of one panel over <paramref name="paddedRows"/> rows of the reduction axis.</summary>
    public static long PanelBytes(WeightFormat format, int paddedRows) =>
        format == WeightFormat.Int4 ? (long)paddedRows / WeightFormats.Int4Group * Int4BlockBytes : (long)paddedRows * Columns * format.ElementBits() / 8;
}
