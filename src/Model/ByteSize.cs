using System.Globalization;

namespace Grok1Cluster.Model;

/// <summary>Byte counts as people write them: <c>1048576</c>, <c>512MiB</c>, <c>1.5GB</c>.</summary>
public static class ByteSize
{
    /// <summary>Longest suffix first, so that B is not taken for the end of GiB.</summary>
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("B", 1),
    ];

    /// <summary>Reads a positive size; suffixes in any case. Ki, Mi, ... are powers of 1024, K, M, ... of 1000.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        var (suffix, factor) = Units.FirstOrDefault(unit => text.EndsWith(unit.Suffix, StringComparison.OrdinalIgnoreCase), ("", 1));
        var number = text[..^suffix.Length].TrimEnd();
        bytes = 0;
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
            || value <= 0 || value > (decimal)long.MaxValue / factor)
            return false;
        bytes = (long)(value * factor);
        return bytes > 0;
    }

    /// <summary>For figures that are compared, where a tenth of a unit may hide the difference: <c>38.9 GiB (41794560000 bytes)</c>.</summary>
    public static string FormatExactly(long bytes) => bytes < 1024 ? $"{bytes} bytes" : $"{Format(bytes)} ({bytes} bytes)";

    /// <summary>With the largest unit of 1024 that leaves at least 1: <c>15.3 GiB</c>.</summary>
    public static string Format(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        var unit = 0;
        double value = bytes;
        for (; value >= 1024 && unit < units.Length - 1; unit++)
            value /= 1024;
        return unit == 0 ? $"{bytes} B" : $"{value:0.0} {units[unit]}";
    }
}
