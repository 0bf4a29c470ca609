namespace Grok1Cluster.Kernels.Formats;

/// <summary>How the elements of a packed weight matrix are stored.</summary>
public enum WeightFormat
{
    /// <summary>Signed bytes in [-127, 127] with a bfloat16 scale per column and weight group: the official quantisation.</summary>
    Int8,

    /// <summary>bfloat16, no scales.</summary>
    BFloat16,

    /// <summary>float32, no scales.</summary>
    Float32,

    /// <summary>
    /// Four bits in [-8, 7] with a bfloat16 scale, of either sign, per column and <see cref="WeightFormats.Int4Group"/> rows:
    /// 4.5 bits a weight.
    /// </summary>
    Int4,
}

/// <summary>Sizes that follow from a <see cref="WeightFormat"/>.</summary>
public static class WeightFormats
{
    /// <summary>Rows of int4 weights that share a scale; the last group of an axis may have fewer.</summary>
    public const int Int4Group = 32;

    /// <summary>Bits of one weight without its scale.</summary>
    public static int ElementBits(this WeightFormat format) => format switch
    {
        WeightFormat.Int4 => 4,
        WeightFormat.Int8 => 8,
        WeightFormat.BFloat16 => 16,
        WeightFormat.Float32 => 32,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "unknown weight format"),
    };

    /// <summary>
    /// What an activation block is padded to: int8 weights keep 4 rows together in a lane (floats follow them); int4 weights
    /// are padded to whole groups, so that a group always has as many bytes.
    /// </summary>
    public static int RowPadding(this WeightFormat format) => format == WeightFormat.Int4 ? Int4Group : ReductionAxis.Interleave;

    /// <summary>Whether a matrix has a table of scales beside its panels; int4 panels have theirs inside.</summary>
    public static bool HasScaleTable(this WeightFormat format) => format == WeightFormat.Int8;

    /// <summary>Weight groups of an int4 matrix along an axis.</summary>
    public static int Int4Groups(int length) => (length + Int4Group - 1) / Int4Group;

    /// <summary>Whether weights carry scales, and so can be multiplied with int8 activation blocks.</summary>
    public static bool IsQuantised(this WeightFormat format) => format is WeightFormat.Int8 or WeightFormat.Int4;
}
