using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>Writes one panel of <see cref="PanelLayout"/> from a row-major matrix.</summary>
public static unsafe class PanelPacker
{
    /// <summary>Bytes that four rows of an int8 panel take.</summary>
    private const int QuadBytes = PanelLayout.Columns * ReductionAxis.Interleave;

    /// <summary>Packs int8 weights of one panel over a run of activation blocks.</summary>
    /// <param name="source">First of the panel's columns in row 0 of the axis: row k is at <c>source + k * stride</c>.</param>
    /// <param name="stride">Elements between rows.</param>
    /// <param name="columns">Columns present, 1 to 32; the rest of the panel is zero weights.</param>
    /// <param name="blocks">The activation blocks to pack, in order.</param>
    /// <param name="target">Receives the sum of their PaddedLength times 32 bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackInt8(sbyte* source, long stride, int columns, ReadOnlySpan<ActivationBlock> blocks, byte* target)
    {
        if (columns < PanelLayout.Columns)
        {
            PackInt8Scalar(source, stride, columns, blocks, target);
            return;
        }
        foreach (ref readonly var block in blocks)
        {
            var row = source + block.Start * stride;
            var whole = block.Length / ReductionAxis.Interleave;
            for (var quad = 0; quad < whole; quad++, row += ReductionAxis.Interleave * stride, target += QuadBytes)
                PackQuad((byte*)row, stride, target);
            if (block.Length != block.PaddedLength)
            {
                PackQuadScalar(row, stride, columns, block.Length % ReductionAxis.Interleave, target);
                target += QuadBytes;
            }
        }
    }

    /// <summary>The scalar twin of <see cref="PackInt8"/>: the same bytes.</summary>
    public static void PackInt8Scalar(sbyte* source, long stride, int columns, ReadOnlySpan<ActivationBlock> blocks, byte* target)
    {
        foreach (ref readonly var block in blocks)
            for (var k = 0; k < block.Length; k += ReductionAxis.Interleave, target += QuadBytes)
                PackQuadScalar(source + (block.Start + k) * stride, stride, columns, Math.Min(ReductionAxis.Interleave, block.Length - k), target);
    }

    /// <summary>Packs int4 weights of one panel over a run of activation blocks.</summary>
    /// <param name="source">Row-major int8 in [-8, 7], 32 columns: row 0 is the first block's Start; absent columns zero.</param>
    /// <param name="scales">bfloat16 [blocks, 32].</param>
    /// <param name="blocks">The activation blocks of an int4 axis to pack, in order.</param>
    /// <param name="target">Receives <see cref="PanelLayout.Int4BlockBytes"/> for each block.</param>
    public static void PackInt4(sbyte* source, ushort* scales, ReadOnlySpan<ActivationBlock> blocks, byte* target)
    {
        foreach (ref readonly var block in blocks)
        {
            var rows = source + (long)(block.Start - blocks[0].Start) * PanelLayout.Columns;
            for (var k = 0; k < block.PaddedLength; k += 2 * ReductionAxis.Interleave)
                for (var column = 0; column < PanelLayout.Columns; column++)
                    for (var j = 0; j < ReductionAxis.Interleave; j++)
                        *target++ = (byte)(Int4At(rows, k + j, column, block.Length) | Int4At(rows, k + ReductionAxis.Interleave + j, column, block.Length) << 4);
            new ReadOnlySpan<ushort>(scales, PanelLayout.Columns).CopyTo(new Span<ushort>(target, PanelLayout.Columns));
            scales += PanelLayout.Columns;
            target += PanelLayout.Columns * sizeof(ushort);
        }
    }

    private static int Int4At(sbyte* rows, int row, int column, int length) =>
        (row < length ? rows[(long)row * PanelLayout.Columns + column] : 0) + PanelLayout.Int4Offset;

    /// <summary>Packs float weights of one panel, as float32 or rounded to bfloat16.</summary>
    /// <param name="source">Row-major float32 [axis.Length, 32]: the panel's columns, absent columns zero.</param>
    /// <param name="blocks">The activation blocks to pack, in order; <paramref name="source"/> starts at the first one's Start.</param>
    /// <param name="format">BFloat16 or Float32.</param>
    /// <param name="target">Receives the sum of their PaddedLength times 32 elements.</param>
    public static void PackFloat(float* source, ReadOnlySpan<ActivationBlock> blocks, WeightFormat format, byte* target)
    {
        if (format.IsQuantised())
            throw new ArgumentOutOfRangeException(nameof(format), format, "not a float format");
        var origin = blocks.Length == 0 ? 0 : blocks[0].Start;
        foreach (ref readonly var block in blocks)
        {
            int count = block.Length * PanelLayout.Columns, padded = block.PaddedLength * PanelLayout.Columns;
            var values = new ReadOnlySpan<float>(source + (long)(block.Start - origin) * PanelLayout.Columns, count);
            if (format == WeightFormat.Float32)
            {
                values.CopyTo(new Span<float>(target, count));
                new Span<float>(target, padded)[count..].Clear();
            }
            else
            {
                Bf16.Round(values, new Span<ushort>(target, count));
                new Span<ushort>(target, padded)[count..].Clear();
            }
            target += (long)padded * format.ElementBits() / 8;
        }
    }

    /// <summary>
    /// 32 columns of the rows a, b, c, d become a0 b0 c0 d0 a1 b1 c1 d1 ...: bytes are widened to 16 bits and laid side by
    /// side, then the pairs to 32 bits. Adding 128 to a byte is flipping its highest bit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PackQuad(byte* row, long stride, byte* target)
    {
        var offset = Vector256.Create((byte)PanelLayout.Offset);
        for (var column = 0; column < PanelLayout.Columns; column += Vector128<byte>.Count)
        {
            var ab = Widen(row + column) | Widen(row + stride + column) << 8;
            var cd = Widen(row + 2 * stride + column) | Widen(row + 3 * stride + column) << 8;
            var lower = Vector256.WidenLower(ab) | Vector256.WidenLower(cd) << 16;
            var upper = Vector256.WidenUpper(ab) | Vector256.WidenUpper(cd) << 16;
            (lower.AsByte() ^ offset).Store(target + column * ReductionAxis.Interleave);
            (upper.AsByte() ^ offset).Store(target + column * ReductionAxis.Interleave + Vector256<byte>.Count);
        }
    }

    /// <summary>Sixteen bytes as 16-bit numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ushort> Widen(byte* source) => Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe());

    private static void PackQuadScalar(sbyte* row, long stride, int columns, int rows, byte* target)
    {
        for (var column = 0; column < PanelLayout.Columns; column++)
            for (var j = 0; j < ReductionAxis.Interleave; j++)
            {
                var weight = column < columns && j < rows ? row[j * stride + column] : 0;
                target[column * ReductionAxis.Interleave + j] = (byte)(weight + PanelLayout.Offset);
            }
    }
}
