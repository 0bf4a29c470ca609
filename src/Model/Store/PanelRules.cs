using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// What packed weights and scales must satisfy: int8 never -128, floats finite, padding zero, scales finite and greater
/// than 0; int4 scales may be negative, and every int4 value is allowed.
/// The searches over whole panels are vectorised; only padding, of which there is little, is looked at one by one.
/// </summary>
internal static unsafe class PanelRules
{
    /// <summary>Elements searched at a time, so that the second search of two finds them in the cache.</summary>
    private const int Chunk = 1 << 14;

    /// <summary>The first broken rule in a packed panel, or null.</summary>
    /// <param name="format">Of the panel.</param>
    /// <param name="blocks">The activation blocks that its rows are.</param>
    /// <param name="columns">Columns present, 32 or more for all.</param>
    /// <param name="panel">[padded rows of the blocks, 32] as <see cref="PanelLayout"/> has them.</param>
    public static string? FindBroken(WeightFormat format, ReadOnlySpan<ActivationBlock> blocks, int columns, ReadOnlySpan<byte> panel)
    {
        if (format == WeightFormat.Int4)
            return FindBrokenInt4Scale(panel) ?? FindPadding(format, blocks, columns, panel);
        var bad = format switch
        {
            WeightFormat.Int8 => panel.IndexOf((byte)0),
            WeightFormat.BFloat16 => FindNonFinite(MemoryMarshal.Cast<byte, ushort>(panel)),
            _ => FindNonFinite(MemoryMarshal.Cast<byte, float>(panel)),
        };
        if (bad >= 0)
        {
            var (row, column) = format == WeightFormat.Int8
                ? (bad / (4 * PanelLayout.Columns) * 4 + bad % 4, bad / 4 % PanelLayout.Columns)
                : (bad / PanelLayout.Columns, bad % PanelLayout.Columns);
            return $"the weight in packed row {row}, column {column} is {(format == WeightFormat.Int8 ? "-128, it must be -127 to 127" : "not finite")}";
        }
        return FindPadding(format, blocks, columns, panel);
    }

    /// <summary>The first broken rule among float32 values, or null.</summary>
    public static string? FindBroken(ReadOnlySpan<float> values)
    {
        var bad = FindNonFinite(values);
        return bad < 0 ? null : $"value {bad} is {values[bad]}, it must be finite";
    }

    /// <summary>The first broken rule among bfloat16 scales, or null.</summary>
    public static string? FindBrokenScale(ReadOnlySpan<byte> scales)
    {
        var bits = MemoryMarshal.Cast<byte, ushort>(scales);
        var bad = bits.IndexOfAnyExceptInRange((ushort)0x0001, (ushort)0x7F7F);
        return bad < 0 ? null : $"scale {bad} is {Bf16.Widen(bits[bad])}, it must be finite and greater than 0";
    }

    private static string? FindBrokenInt4Scale(ReadOnlySpan<byte> panel)
    {
        for (var block = 0; block < panel.Length / PanelLayout.Int4BlockBytes; block++)
        {
            var scales = MemoryMarshal.Cast<byte, ushort>(panel.Slice(block * PanelLayout.Int4BlockBytes + PanelLayout.Int4WeightBytes, PanelLayout.Columns * sizeof(ushort)));
            for (var column = 0; column < scales.Length; column++)
                if ((scales[column] & 0x7FFF) is 0 or >= 0x7F80)
                    return $"the scale of group {block}, column {column} is {Bf16.Widen(scales[column])}, it must be finite and not 0";
        }
        return null;
    }

    private static string? FindPadding(WeightFormat format, ReadOnlySpan<ActivationBlock> blocks, int columns, ReadOnlySpan<byte> panel)
    {
        foreach (ref readonly var block in blocks)
            for (var k = columns < PanelLayout.Columns ? 0 : block.Length; k < block.PaddedLength; k++)
            {
                var row = block.PaddedStart - blocks[0].PaddedStart + k;
                for (var column = k < block.Length ? columns : 0; column < PanelLayout.Columns; column++)
                    if (!IsZero(format, panel, row, column))
                        return $"the padding in packed row {row}, column {column} is not zero";
            }
        return null;
    }

    private static bool IsZero(WeightFormat format, ReadOnlySpan<byte> panel, int row, int column) => format switch
    {
        WeightFormat.Int4 => (panel[row / 32 * PanelLayout.Int4BlockBytes + (row % 32 / 8 * PanelLayout.Columns + column) * 4 + row % 4] >> (row % 8 < 4 ? 0 : 4) & 0x0F) == PanelLayout.Int4Offset,
        WeightFormat.Int8 => panel[(row / ReductionAxis.Interleave * PanelLayout.Columns + column) * ReductionAxis.Interleave + row % ReductionAxis.Interleave] == PanelLayout.Offset,
        WeightFormat.BFloat16 => MemoryMarshal.Cast<byte, ushort>(panel)[row * PanelLayout.Columns + column] == 0,
        _ => MemoryMarshal.Cast<byte, uint>(panel)[row * PanelLayout.Columns + column] == 0,
    };

    private static int FindNonFinite(ReadOnlySpan<float> values)
    {
        fixed (float* start = values)
            return (int)ValueScan.FindNonFinite((uint*)start, values.Length);
    }

    private static int FindNonFinite(ReadOnlySpan<ushort> bits)
    {
        for (var start = 0; start < bits.Length; start += Chunk)
        {
            var chunk = bits.Slice(start, Math.Min(Chunk, bits.Length - start));
            var positive = chunk.IndexOfAnyInRange((ushort)0x7F80, (ushort)0x7FFF);
            var negative = chunk.IndexOfAnyInRange((ushort)0xFF80, (ushort)0xFFFF);
            if (positive >= 0 || negative >= 0)
                return start + (int)Math.Min((uint)positive, (uint)negative);
        }
        return -1;
    }
}
