using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Store;

/// <summary>Up to 32 columns of one int8 matrix [K, N] of a source tensor, to be packed as one panel.</summary>
internal readonly unsafe struct SourcePanel
{
    private readonly SourceTensor _tensor;
    private readonly int _matrix;
    private readonly int _firstColumn;

    /// <param name="tensor">[matrices, K, N], or [K, N] as matrix 0.</param>
    /// <param name="matrix">Which of the matrices.</param>
    /// <param name="firstColumn">First column.</param>
    /// <param name="endColumn">No column from here on is part of the panel.</param>
    public SourcePanel(SourceTensor tensor, int matrix, int firstColumn, int endColumn)
    {
        (_tensor, _matrix, _firstColumn) = (tensor, matrix, firstColumn);
        Columns = Math.Min(PanelLayout.Columns, endColumn - firstColumn);
    }

    /// <summary>Columns present, at most 32.</summary>
    public int Columns { get; }

    /// <summary>Row 0 of the panel; rows are <see cref="Stride"/> apart.</summary>
    public sbyte* Values => (sbyte*)_tensor.Values + _matrix * Rows * Stride + _firstColumn;

    /// <summary>N of the matrix.</summary>
    public long Stride => _tensor.Shape[^1];

    private long Rows => _tensor.Shape[^2];

    /// <summary>
    /// Packs a run of activation blocks. int8 keeps values and scales; float formats get <c>value * scale</c>, and int4 is
    /// quantised from it.
    /// </summary>
    /// <param name="values">Row 0 of the panel, here or in a copy.</param>
    /// <param name="stride">Elements between its rows.</param>
    /// <param name="blocks">The rows to pack.</param>
    /// <param name="format">Of the target.</param>
    /// <param name="target">Receives the packed rows.</param>
    /// <param name="scales">For int8: bfloat16 [weight groups that the blocks touch, scaleStride], 32 columns of it overwritten.</param>
    /// <param name="scaleStride">Elements between its rows.</param>
    /// <exception cref="ModelException">A product is too large for the format.</exception>
    public void Pack(sbyte* values, long stride, ReadOnlySpan<ActivationBlock> blocks, WeightFormat format, byte* target, ushort* scales, int scaleStride)
    {
        if (format == WeightFormat.Int8)
        {
            PanelPacker.PackInt8(values, stride, Columns, blocks, target);
            CopyScales(blocks[0].Group, blocks[^1].Group - blocks[0].Group + 1, scales, scaleStride);
            return;
        }
        int first = blocks[0].Start, rows = blocks[^1].Start + blocks[^1].Length - first;
        using var floats = new NativeBuffer<float>((long)rows * PanelLayout.Columns);
        Dequantise(values, stride, first, first + rows, floats.Pointer);
        if (format == WeightFormat.Int4)
        {
            Check(PanelRules.FindBroken(floats.Span), format);
            using var quantised = new NativeBuffer<sbyte>((long)rows * PanelLayout.Columns);
            using var groupScales = new NativeBuffer<ushort>((long)blocks.Length * PanelLayout.Columns);
            Int4Quantizer.QuantizePanel(floats.Pointer, blocks, quantised.Pointer, groupScales.Pointer);
            PanelPacker.PackInt4(quantised.Pointer, groupScales.Pointer, blocks, target);
            return;
        }
        PanelPacker.PackFloat(floats.Pointer, blocks, format, target);
        var padded = blocks[^1].PaddedStart + blocks[^1].PaddedLength - blocks[0].PaddedStart;
        Check(PanelRules.FindBroken(format, blocks, Columns, new ReadOnlySpan<byte>(target, checked((int)PanelLayout.PanelBytes(format, padded)))), format);
    }

    private void Check(string? problem, WeightFormat format)
    {
        if (problem is not null)
            throw new ModelException($"{_tensor.File}: {_tensor.Name}: as {format}, columns from {_firstColumn}: {problem}; fetch the file again, or import as int8");
    }

    /// <summary>Copies the scales of some weight groups; absent columns get 1 so that a padded column stays finite.</summary>
    /// <param name="firstGroup">First weight group.</param>
    /// <param name="groups">How many.</param>
    /// <param name="target">[groups, targetStride] bfloat16, 32 columns of it overwritten.</param>
    /// <param name="targetStride">Elements between its rows.</param>
    private void CopyScales(int firstGroup, int groups, ushort* target, int targetStride)
    {
        for (var group = 0; group < groups; group++)
            for (var column = 0; column < PanelLayout.Columns; column++)
                target[(long)group * targetStride + column] = column < Columns ? Scale(firstGroup + group, column) : Bf16.Round(1f);
    }

    private void Dequantise(sbyte* values, long stride, int firstRow, int endRow, float* target)
    {
        var groupLength = (int)Rows / _tensor.ScaleGroups;
        var scales = stackalloc float[PanelLayout.Columns];
        var loaded = -1;
        for (var row = firstRow; row < endRow; row++, target += PanelLayout.Columns)
        {
            if (row / groupLength != loaded)
            {
                loaded = row / groupLength;
                for (var column = 0; column < Columns; column++)
                    scales[column] = Bf16.Widen(Scale(loaded, column));
            }
            var source = values + row * stride;
            var done = 0;
            for (; done + 8 <= Columns; done += 8)
            {
                var words = Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<long>(source + done)).AsSByte());
                var (low, high) = Vector128.Widen(words);
                (Vector256.ConvertToSingle(Vector256.Create(low, high)) * Vector256.Load(scales + done)).Store(target + done);
            }
            for (; done < Columns; done++)
                target[done] = source[done] * scales[done];
        }
    }

    private ushort Scale(int group, int column) =>
        Unsafe.ReadUnaligned<ushort>(_tensor.Scales + ((long)_matrix * _tensor.ScaleGroups + group) * Stride + _firstColumn + column);
}
