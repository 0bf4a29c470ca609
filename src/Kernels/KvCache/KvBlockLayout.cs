using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.KvCache;

/// <summary>
/// How one layer's keys and values of <see cref="Tokens"/> consecutive positions lie in memory: the part of a KV block
/// that belongs to one layer. Everything is made of rows of 32 elements, as <see cref="KvPanel"/> reads them:
/// <code>
/// for each KV head:
///   K panel                    [HeadDim rows = dimensions][32 = positions]
///   V panels, HeadDim / 32 up  [32 rows = positions][32 = dimensions], absent dimensions are zero
/// </code>
/// So lanes are positions in q.k and dimensions in p V, and neither product needs a sum across lanes. Float32 rows are
/// in order. A bfloat16 row is 16 little-endian 32-bit words: word j holds element j in its low half and element j + 16
/// in its high half, so that a shift and a mask widen it into two runs in order, whatever the vector width.
/// </summary>
public sealed unsafe class KvBlockLayout
{
    /// <summary>Positions in a block.</summary>
    public const int Tokens = 32;

    private const int MaxHeadDim = 1024;

    /// <param name="kvHeads">KV heads of a layer, at least 1.</param>
    /// <param name="headDim">Width of a head, even, 2 to 1024.</param>
    /// <param name="format">Element type.</param>
    public KvBlockLayout(int kvHeads, int headDim, KvFormat format)
    {
        if (headDim is < 2 or > MaxHeadDim || headDim % 2 != 0)
            throw new ArgumentException($"headDim is {headDim}; it must be even and 2 to {MaxHeadDim}.");
        if (!Enum.IsDefined(format))
            throw new ArgumentException($"format is {format}, which is no KV format.");
        Shapes.AtLeast(kvHeads, 1);
        KvHeads = kvHeads;
        HeadDim = headDim;
        Format = format;
        RowBytes = KvPanel.Width * (format == KvFormat.Bf16 ? sizeof(ushort) : sizeof(float));
        ValuePanels = (headDim + KvPanel.Width - 1) / KvPanel.Width;
        HeadBytes = (headDim + ValuePanels * Tokens) * RowBytes;
        BlockBytes = checked(kvHeads * HeadBytes);
    }

    public int KvHeads { get; }

    public int HeadDim { get; }

    public KvFormat Format { get; }

    /// <summary>Bytes of one layer's part of a block, a multiple of 64. Addresses given to this class are best aligned to 64.</summary>
    public int BlockBytes { get; }

    /// <summary>Bytes of a row of 32 elements.</summary>
    internal int RowBytes { get; }

    /// <summary>V panels of a head, 32 dimensions each.</summary>
    internal int ValuePanels { get; }

    private int HeadBytes { get; }

    /// <summary>Writes the keys of one position, already rotated.</summary>
    /// <param name="block">Address of this layer's part of the block, <see cref="BlockBytes"/> long.</param>
    /// <param name="slot">Position within the block, 0 to 31.</param>
    /// <param name="keys">[KvHeads, HeadDim], float32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void StoreKey(nint block, int slot, ReadOnlySpan<float> keys)
    {
        Check(slot, keys.Length);
        for (int head = 0; head < KvHeads; head++)
        {
            byte* row = Keys(block, head);
            foreach (float key in keys.Slice(head * HeadDim, HeadDim))
            {
                Write(row, slot, key);
                row += RowBytes;
            }
        }
    }

    /// <summary>Writes the values of one position.</summary>
    /// <param name="block">Address of this layer's part of the block, <see cref="BlockBytes"/> long.</param>
    /// <param name="slot">Position within the block, 0 to 31.</param>
    /// <param name="values">[KvHeads, HeadDim], float32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void StoreValue(nint block, int slot, ReadOnlySpan<float> values)
    {
        Check(slot, values.Length);
        for (int head = 0; head < KvHeads; head++)
            for (int panel = 0; panel < ValuePanels; panel++)
            {
                byte* row = Values(block, head, panel) + slot * RowBytes;
                int first = panel * KvPanel.Width;
                int present = Math.Min(KvPanel.Width, HeadDim - first);
                for (int i = 0; i < present; i++)
                    Write(row, i, values[head * HeadDim + first + i]);
                for (int i = present; i < KvPanel.Width; i++)
                    Write(row, i, 0f);
            }
    }

    /// <summary>The stored key element, widened; for tests and scalar twins.</summary>
    public float ReadKey(nint block, int head, int slot, int dim) => Read(Keys(block, head) + dim * RowBytes, slot);

    /// <summary>The stored value element, widened; for tests and scalar twins.</summary>
    public float ReadValue(nint block, int head, int slot, int dim) =>
        Read(Values(block, head, dim / KvPanel.Width) + slot * RowBytes, dim % KvPanel.Width);

    /// <summary>The K panel of a head: HeadDim rows.</summary>
    internal byte* Keys(nint block, int head) => (byte*)block + (nint)head * HeadBytes;

    /// <summary>A V panel of a head: 32 rows.</summary>
    internal byte* Values(nint block, int head, int panel) => Keys(block, head) + (HeadDim + panel * Tokens) * RowBytes;

    private void Write(byte* row, int element, float value)
    {
        if (Format == KvFormat.Bf16)
            ((ushort*)row)[PairedIndex(element)] = Bf16.Round(value);
        else
            ((float*)row)[element] = value;
    }

    private float Read(byte* row, int element) =>
        Format == KvFormat.Bf16 ? Bf16.Widen(((ushort*)row)[PairedIndex(element)]) : ((float*)row)[element];

    private static int PairedIndex(int element) => (element & 15) * 2 + (element >> 4);

    private void Check(int slot, int length)
    {
        if ((uint)slot >= Tokens)
            throw new ArgumentOutOfRangeException(nameof(slot), slot, $"A block holds slots 0 to {Tokens - 1}.");
        Shapes.Same(length, KvHeads * HeadDim);
    }
}
