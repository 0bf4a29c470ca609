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
}

/// <summary>Sizes that follow from a <see cref="WeightFormat"/>.</summary>
public static class WeightFormats
{
    /// <summary>Bytes of one weight, scales apart.</summary>
    public static int ElementBytes(this WeightFormat format) => format switch
    {
        WeightFormat.Int8 => 1,
        WeightFormat.BFloat16 => 2,
        WeightFormat.Float32 => 4,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "unknown weight format"),
    };

    /// <summary>Whether weights carry scales, and so can be multiplied with int8 activation blocks.</summary>
    public static bool IsQuantised(this WeightFormat format) => format is WeightFormat.Int8;
}
