using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Kernels.Formats;

/// <summary>
/// One activation block: a run of the reduction axis whose activations share a scale and whose weights lie in one weight group.
/// </summary>
/// <param name="Start">First index of the axis.</param>
/// <param name="Length">Indices, at most <see cref="ReductionAxis.MaxBlock"/>.</param>
/// <param name="PaddedStart">First index in packed weights and quantised activations.</param>
/// <param name="PaddedLength"><paramref name="Length"/> rounded up to <see cref="WeightFormats.RowPadding"/>; the padding is zero.</param>
/// <param name="Group">The weight group (row of scales) that holds it.</param>
public readonly record struct ActivationBlock(int Start, int Length, int PaddedStart, int PaddedLength, int Group);

/// <summary>
/// The axis a matrix product sums over (rows of <c>W[K, N]</c>), cut into activation blocks: at every multiple of 128, at
/// every edge of a weight group and, for the hidden axis of an expert, at every edge of an expert block. The cuts depend
/// on the model alone, never on a plan, so every slice of an expert sees the same blocks. int4 weights have groups of 32 rows,
/// so their axes have blocks of 32.
/// </summary>
public sealed unsafe class ReductionAxis : IDisposable
{
    /// <summary>Most activations that share a scale.</summary>
    public const int MaxBlock = 128;

    /// <summary>Rows that packed int8 weights keep together in one 32-bit lane.</summary>
    public const int Interleave = 4;

    private readonly NativeBuffer<ActivationBlock> _blocks;

    /// <param name="length">Indices of the axis.</param>
    /// <param name="groups">Weight groups; must divide <paramref name="length"/>, or be <see cref="WeightFormats.Int4Groups"/> of it.</param>
    /// <param name="expertBlockWidth">Width of the expert blocks that also cut this axis, or null.</param>
    /// <param name="format">Of the weights along this axis.</param>
    public ReductionAxis(int length, int groups, int? expertBlockWidth = null, WeightFormat format = WeightFormat.Int8)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(groups);
        var int4 = format == WeightFormat.Int4;
        if (int4 ? groups != WeightFormats.Int4Groups(length) : length % groups != 0)
            throw new ArgumentException($"an axis of {length} cannot be cut into {groups} weight groups of {format}", nameof(groups));
        Length = length;
        Groups = groups;
        GroupLength = int4 ? WeightFormats.Int4Group : length / groups;
        var padding = format.RowPadding();
        var list = new List<ActivationBlock>();
        var padded = 0;
        for (var start = 0; start < length;)
        {
            var end = Math.Min(length, NextMultiple(start, MaxBlock));
            end = Math.Min(end, NextMultiple(start, GroupLength));
            if (expertBlockWidth is { } width)
                end = Math.Min(end, NextMultiple(start, width));
            var paddedLength = (end - start + padding - 1) / padding * padding;
            list.Add(new ActivationBlock(start, end - start, padded, paddedLength, start / GroupLength));
            padded += paddedLength;
            start = end;
        }
        PaddedLength = padded;
        BlockCount = list.Count;
        IsUniform = list.TrueForAll(block => block.Length == MaxBlock);
        _blocks = new NativeBuffer<ActivationBlock>(list.Count);
        for (var i = 0; i < list.Count; i++)
            _blocks.Pointer[i] = list[i];
    }

    public int Length { get; }

    public int Groups { get; }

    /// <summary>Rows that share a scale; the last group of int4 weights may have fewer.</summary>
    public int GroupLength { get; }

    /// <summary>Length with every block's padding.</summary>
    public int PaddedLength { get; }

    public int BlockCount { get; }

    /// <summary>Whether every block has <see cref="MaxBlock"/> activations, so that nothing is padded.</summary>
    public bool IsUniform { get; }

    /// <summary>The blocks in ascending order.</summary>
    public ReadOnlySpan<ActivationBlock> Blocks => _blocks.Span;

    /// <summary>The same for kernels: [BlockCount], valid while this object lives.</summary>
    public ActivationBlock* BlockPointer => _blocks.Pointer;

    /// <summary>Index of the block that starts at <paramref name="start"/>; BlockCount for the axis' end.</summary>
    public int BlockAt(int start)
    {
        if (start == Length)
            return BlockCount;
        int low = 0, high = BlockCount - 1;
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var at = _blocks.Pointer[middle].Start;
            if (at == start)
                return middle;
            if (at < start)
                low = middle + 1;
            else
                high = middle - 1;
        }
        throw new ArgumentException($"no activation block starts at {start} of an axis of {Length}", nameof(start));
    }

    /// <summary>The block that a position of a padded row lies in, its padding included.</summary>
    /// <param name="position">In [0, PaddedLength).</param>
    public int BlockOfPosition(int position)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)position, (uint)PaddedLength);
        int low = 0, high = BlockCount - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_blocks.Pointer[middle].PaddedStart <= position)
                low = middle;
            else
                high = middle - 1;
        }
        return low;
    }

    public void Dispose() => _blocks.Dispose();

    private static int NextMultiple(int start, int of) => (int)Math.Min(int.MaxValue, ((long)start / of + 1) * of);
}
