using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Tests.Store;

/// <summary>
/// Reads packed weights one by one from the words of the layout's documentation, sharing no code with the reader under test:
/// panels of 32 columns; rows in activation blocks cut at 128, weight groups and expert blocks, each padded to 4 rows.
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
            rows += (next - at + 3) / 4 * 4;
            at = next;
        }
        return rows;
    }

    /// <summary>Bytes of a panel over rows [start, end).</summary>
    public int PanelBytes(int start, int end) => PaddedRows(start, end) * 32 * ElementBytes;

    /// <summary>The weight at a row of the axis and a column of the panel: the int8 value, or the float's bits.</summary>
    /// <param name="panel">The panel over rows from <paramref name="start"/>, a cut, on.</param>
    public float Weight(ReadOnlySpan<byte> panel, int start, int row, int column)
    {
        var packed = 0;
        var at = start;
        while (NextCut(at) <= row)
        {
            packed += (NextCut(at) - at + 3) / 4 * 4;
            at = NextCut(at);
        }
        packed += row - at;
        return format switch
        {
            WeightFormat.Int8 => panel[packed / 4 * 128 + column * 4 + packed % 4] - 128,
            WeightFormat.BFloat16 => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(panel[((packed * 32 + column) * 2)..]) << 16),
            _ => BitConverter.ToSingle(panel[((packed * 32 + column) * 4)..]),
        };
    }

    public int Group(int row) => row / (length / groups);

    private int ElementBytes => format switch { WeightFormat.Int8 => 1, WeightFormat.BFloat16 => 2, _ => 4 };

    private int NextCut(int at)
    {
        int[] cuts = [length, (at / 128 + 1) * 128, (at / (length / groups) + 1) * (length / groups), blockWidth is { } width ? (at / width + 1) * width : length];
        return cuts.Min();
    }
}
