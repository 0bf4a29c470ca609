using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>Writes one panel of <see cref="PanelLayout"/> from a row-major matrix.</summary>
public static unsafe class PanelPacker
{
    /// <summary>Packs int8 weights of one panel over a run of activation blocks.</summary>
    /// <param name="source">First of the panel's columns in row 0 of the axis: row k is at <c>source + k * stride</c>.</param>
    /// <param name="stride">Elements between rows.</param>
    /// <param name="columns">Columns present, 1 to 32; the rest of the panel is zero weights.</param>
    /// <param name="blocks">The activation blocks to pack, in order.</param>
    /// <param name="target">Receives the sum of their PaddedLength times 32 bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void PackInt8(sbyte* source, long stride, int columns, ReadOnlySpan<ActivationBlock> blocks, byte* target)
    {
        foreach (ref readonly var block in blocks)
        {
            for (var k = 0; k < block.PaddedLength; k += ReductionAxis.Interleave)
                for (var column = 0; column < PanelLayout.Columns; column++)
                    for (var j = 0; j < ReductionAxis.Interleave; j++)
                    {
                        var inside = column < columns && k + j < block.Length;
                        var weight = inside ? source[(block.Start + k + j) * stride + column] : 0;
                        target[(k / ReductionAxis.Interleave * PanelLayout.Columns + column) * ReductionAxis.Interleave + j] = (byte)(weight + PanelLayout.Offset);
                    }
            target += (long)block.PaddedLength * PanelLayout.Columns;
        }
    }

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
            for (var k = 0; k < block.PaddedLength; k++)
                for (var column = 0; column < PanelLayout.Columns; column++)
                {
                    var weight = k < block.Length ? source[(long)(block.Start - origin + k) * PanelLayout.Columns + column] : 0f;
                    if (format == WeightFormat.Float32)
                        *(float*)target = weight;
                    else
                        *(ushort*)target = Bf16.Round(weight);
                    target += format.ElementBytes();
                }
    }
}
