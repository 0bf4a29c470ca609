using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Tests.Store;

/// <summary>
/// Reads packed weights one by one from the words of the layout's documentation, sharing no code with the reader under test:
/// panels of 32 columns; rows in activation blocks cut at 128, weight groups and expert blocks, each padded to 4 rows; int4 in
/// groups and blocks of 32, padded to 32, eight rows in the nibbles of four bytes, each group followed by its 32 scales.
/// </summary>
internal sealed class PackedReader(WeightFormat format, int length, int groups, int? blockWidth)
{
    /// <summary>Rows that [start, end) takes when packed.</summary>
    public int PaddedRows(int start, int end)
    {
        var rows = 0;
        for (var at = start; at < end;)
        {
            var next = NextCut(at);
            rows += Padded(next - at);
            at = next;
        }
        return rows;
    }

    /// <summary>Bytes of a panel over rows [start, end).</summary>
    public int PanelBytes(int start, int end) => format == WeightFormat.Int4 ? PaddedRows(start, end) / 32 * 576 : PaddedRows(start, end) * 32 * ElementBits / 8;

    /// <summary>The weight at a row of the axis and a column of the panel: the integer without its scale, or the float's bits.</summary>
    /// <param name="panel">The panel over rows from <paramref name="start"/>, a cut, on.</param>
    public float Weight(ReadOnlySpan<byte> panel, int start, int row, int column)
    {
        var packed = 0;
        var at = start;
        while (NextCut(at) <= row)
        {
            packed += Padded(NextCut(at) - at);
            at = NextCut(at);
        }
        packed += row - at;
        return format switch
        {
            WeightFormat.Int4 => (packed % 8 < 4 ? panel[Int4At(packed, column)] % 16 : panel[Int4At(packed, column)] / 16) - 8,
            WeightFormat.Int8 => panel[packed / 4 * 128 + column * 4 + packed % 4] - 128,
            WeightFormat.BFloat16 => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(panel[((packed * 32 + column) * 2)..]) << 16),
            _ => BitConverter.ToSingle(panel[((packed * 32 + column) * 4)..]),
        };
    }

    public int Group(int row) => row / GroupLength;

    /// <summary>Where an int4 panel over rows from <paramref name="start"/> has the scale of a row and column.</summary>
    public static int Int4ScaleAt(int start, int row, int column) => (row - start) / 32 * 576 + 512 + column * 2;

    private static int Int4At(int packed, int column) => packed / 32 * 576 + packed % 32 / 8 * 128 + column * 4 + packed % 4;

    private int GroupLength => format == WeightFormat.Int4 ? 32 : length / groups;

    private int ElementBits => format switch { WeightFormat.Int8 => 8, WeightFormat.BFloat16 => 16, _ => 32 };

    private int Padded(int rows) => format == WeightFormat.Int4 ? (rows + 31) / 32 * 32 : (rows + 3) / 4 * 4;

    private int NextCut(int at)
    {
        int[] cuts = [length, (at / 128 + 1) * 128, (at / GroupLength + 1) * GroupLength, blockWidth is { } width ? (at / width + 1) * width : length];
        return cuts.Min();
    }
}
