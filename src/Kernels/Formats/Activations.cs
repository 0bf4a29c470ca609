using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>What the rows of <see cref="Activations"/> hold.</summary>
public enum ActivationFormat
{
    /// <summary>float32 values: exact.</summary>
    Float32,

    /// <summary>int8 values with a float32 scale per activation block, and outliers in float32: fast.</summary>
    Int8Blocks,
}

/// <summary>
/// The left side of a matrix product: rows of activations along one <see cref="ReductionAxis"/>, in one of two formats.
/// Buffers are kept and grow by doubling, so a steady state allocates nothing.
/// </summary>
public sealed unsafe class Activations : IDisposable
{
    private NativeBuffer<float>? _floats;
    private NativeBuffer<sbyte>? _values;
    private NativeBuffer<float>? _scales;
    private NativeBuffer<int>? _sums;
    private NativeBuffer<byte>? _outlierCounts;
    private NativeBuffer<Outlier>? _outliers;
    private int _capacity;

    public Activations(ReductionAxis axis, ActivationFormat format)
    {
        Axis = axis;
        Format = format;
    }

    public ReductionAxis Axis { get; }

    public ActivationFormat Format { get; }

    /// <summary>Rows in use.</summary>
    public int Rows { get; private set; }

    /// <summary>[Rows, Axis.PaddedLength] float32; null in the int8 format. Padding between blocks is zero.</summary>
    public float* Floats => _floats is null ? null : _floats.Pointer;

    /// <summary>[Rows, Axis.PaddedLength] int8 in [-127, 127]; null in the float32 format. Padding is zero.</summary>
    public sbyte* Values => _values is null ? null : _values.Pointer;

    /// <summary>[Rows, Axis.BlockCount] float32: value = int8 * scale.</summary>
    public float* Scales => _scales is null ? null : _scales.Pointer;

    /// <summary>[Rows, Axis.BlockCount]: the sum of a block's int8 values, which corrects products with offset weights.</summary>
    public int* Sums => _sums is null ? null : _sums.Pointer;

    /// <summary>[Rows, Axis.BlockCount]: outliers of each block.</summary>
    public byte* OutlierCounts => _outlierCounts is null ? null : _outlierCounts.Pointer;

    /// <summary>[Rows, Axis.BlockCount, <see cref="ActivationQuantizer.MaxOutliers"/>]: of each block so many as it has, by position.</summary>
    public Outlier* Outliers => _outliers is null ? null : _outliers.Pointer;

    /// <summary>Makes room for <paramref name="rows"/> rows; what they held is undefined afterwards.</summary>
    public void Resize(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        Rows = rows;
        if (rows <= _capacity)
            return;
        _capacity = Math.Max(rows, _capacity * 2);
        Free();
        if (Format == ActivationFormat.Float32)
        {
            _floats = new NativeBuffer<float>((long)_capacity * Axis.PaddedLength);
            return;
        }
        _values = new NativeBuffer<sbyte>((long)_capacity * Axis.PaddedLength);
        _scales = new NativeBuffer<float>((long)_capacity * Axis.BlockCount);
        _sums = new NativeBuffer<int>((long)_capacity * Axis.BlockCount);
        _outlierCounts = new NativeBuffer<byte>((long)_capacity * Axis.BlockCount);
        _outliers = new NativeBuffer<Outlier>((long)_capacity * Axis.BlockCount * ActivationQuantizer.MaxOutliers);
    }

    /// <summary>Stores one row, quantising it in the int8 format.</summary>
    /// <param name="row">Below <see cref="Rows"/>.</param>
    /// <param name="x">[Axis.Length] float32.</param>
    public void Set(int row, ReadOnlySpan<float> x)
    {
        if ((uint)row >= (uint)Rows || x.Length != Axis.Length)
            throw new ArgumentException($"row {row} of {x.Length} values does not fit activations [{Rows}, {Axis.Length}]");
        fixed (float* source = x)
            SetBlocks(row, 0, Axis.BlockCount, source);
    }

    /// <summary>Stores a run of blocks of one row, quantising them in the int8 format.</summary>
    /// <param name="row">Below <see cref="Rows"/>.</param>
    /// <param name="firstBlock">First block of the run.</param>
    /// <param name="endBlock">One past the last.</param>
    /// <param name="x">float32 values of the run's indices of the axis.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void SetBlocks(int row, int firstBlock, int endBlock, float* x)
    {
        var blocks = Axis.BlockPointer;
        var origin = blocks[firstBlock].Start;
        var target = Format == ActivationFormat.Float32 ? default : Quantized(row);
        for (var b = firstBlock; b < endBlock; b++)
        {
            var source = x + (blocks[b].Start - origin);
            if (Format == ActivationFormat.Float32)
                new ReadOnlySpan<float>(source, blocks[b].Length).CopyTo(new Span<float>(Floats + (long)row * Axis.PaddedLength + blocks[b].PaddedStart, blocks[b].Length));
            else
                ActivationQuantizer.QuantizeBlock(source, blocks[b], b, target);
        }
    }

    /// <summary>The first block from <paramref name="firstBlock"/> on that has outliers; <paramref name="endBlock"/> where none before it has.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int NextOutliers(int row, int firstBlock, int endBlock)
    {
        if (_outlierCounts is null || firstBlock >= endBlock)
            return endBlock;
        var found = new ReadOnlySpan<byte>(_outlierCounts.Pointer + (long)row * Axis.BlockCount + firstBlock, endBlock - firstBlock).IndexOfAnyExcept((byte)0);
        return found < 0 ? endBlock : firstBlock + found;
    }

    /// <summary>The outliers of a block, by position.</summary>
    public ReadOnlySpan<Outlier> OutliersOf(int row, int block)
    {
        var at = (long)row * Axis.BlockCount + block;
        return new ReadOnlySpan<Outlier>(Outliers + at * ActivationQuantizer.MaxOutliers, OutlierCounts[at]);
    }

    /// <summary>Outliers of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public int CountOutliers(int row)
    {
        var count = 0;
        for (var b = NextOutliers(row, 0, Axis.BlockCount); b < Axis.BlockCount; b = NextOutliers(row, b + 1, Axis.BlockCount))
            count += OutlierCounts[(long)row * Axis.BlockCount + b];
        return count;
    }

    /// <summary>
    /// Makes one row complete after its <see cref="Values"/> and <see cref="Scales"/> were filled from elsewhere: computes its sums, and
    /// leaves it without outliers.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Complete(int row)
    {
        new Span<byte>(OutlierCounts + (long)row * Axis.BlockCount, Axis.BlockCount).Clear();
        var source = Values + (long)row * Axis.PaddedLength;
        var target = Sums + (long)row * Axis.BlockCount;
        var blocks = Axis.BlockPointer;
        for (var b = 0; b < Axis.BlockCount; b++)
            target[b] = ActivationQuantizer.Sum(source + blocks[b].PaddedStart, blocks[b].PaddedLength);
    }

    /// <summary>The outliers of a row, by position, as those of another row.</summary>
    /// <param name="row">Below <see cref="Rows"/>.</param>
    /// <param name="asRow">The row that they are given.</param>
    /// <param name="target">[<see cref="CountOutliers"/>], overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void CopyOutliers(int row, int asRow, Span<RowOutlier> target)
    {
        var count = 0;
        for (var b = NextOutliers(row, 0, Axis.BlockCount); b < Axis.BlockCount; b = NextOutliers(row, b + 1, Axis.BlockCount))
            foreach (var outlier in OutliersOf(row, b))
                target[count++] = new RowOutlier(asRow, outlier.Position, outlier.Value);
    }

    /// <summary>Adds outliers to rows from elsewhere, after <see cref="Complete"/>.</summary>
    /// <param name="outliers">By position within a row; where they are, <see cref="Values"/> is 0.</param>
    /// <exception cref="ArgumentException">A block has too many, or a row or position is out of range.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AddOutliers(ReadOnlySpan<RowOutlier> outliers)
    {
        foreach (var outlier in outliers)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)outlier.Row, (uint)Rows);
            var at = (long)outlier.Row * Axis.BlockCount + Axis.BlockOfPosition(outlier.Position);
            if (OutlierCounts[at] == ActivationQuantizer.MaxOutliers)
                throw new ArgumentException($"row {outlier.Row} has more than {ActivationQuantizer.MaxOutliers} outliers in the block of position {outlier.Position}", nameof(outliers));
            Outliers[at * ActivationQuantizer.MaxOutliers + OutlierCounts[at]++] = new Outlier(outlier.Position, outlier.Value);
        }
    }

    public void Dispose() => Free();

    private void Free()
    {
        _floats?.Dispose();
        _values?.Dispose();
        _scales?.Dispose();
        _sums?.Dispose();
        _outlierCounts?.Dispose();
        _outliers?.Dispose();
    }

    private QuantizedRow Quantized(int row)
    {
        var block = (long)row * Axis.BlockCount;
        return new QuantizedRow(Values + (long)row * Axis.PaddedLength, Scales + block, Sums + block, OutlierCounts + block, Outliers + block * ActivationQuantizer.MaxOutliers);
    }
}
