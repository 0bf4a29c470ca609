using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.KvCache;

/// <summary>
/// How one layer's keys and values of <see cref="Tokens"/> consecutive positions lie in memory: the part of a KV block
/// that belongs to one layer. Everything is made of rows of 32 elements, as <see cref="KvPanel"/> reads them:
/// <code>
/// for each KV head:
///   scales                     int8 only: float32 [32] of the keys, then [32] of the values
///   K panel                    [HeadDim rows = dimensions][32 = positions]
///   V panels, HeadDim / 32 up  [32 rows = positions][32 = dimensions], absent dimensions are zero
/// </code>
/// So lanes are positions in q.k and dimensions in p V, and neither product needs a sum across lanes. Float32 rows are
/// in order. A bfloat16 row is 16 little-endian 32-bit words: word j holds element j in its low half and element j + 16
/// in its high half, so that a shift and a mask widen it into two runs in order, whatever the vector width. An int8 row is
/// in order; its element stands for scale * element, and a token's scales are those of <see cref="ActivationQuantizer"/>.
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
        RowBytes = KvPanel.Width * format switch { KvFormat.Int8 => sizeof(sbyte), KvFormat.Bf16 => sizeof(ushort), _ => sizeof(float) };
        ScaleBytes = HasScales ? 2 * Tokens * sizeof(float) : 0;
        ValuePanels = (headDim + KvPanel.Width - 1) / KvPanel.Width;
        HeadBytes = ScaleBytes + (headDim + ValuePanels * Tokens) * RowBytes;
        BlockBytes = checked(kvHeads * HeadBytes);
    }

    /// <summary>The format where none is asked for.</summary>
    /// <param name="exact">Whether results are to be those of float32 throughout.</param>
    public static KvFormat FormatFor(bool exact) => exact ? KvFormat.Float32 : KvFormat.Bf16;

    public int KvHeads { get; }

    public int HeadDim { get; }

    public KvFormat Format { get; }

    /// <summary>Bytes of one layer's part of a block, a multiple of 64. Addresses given to this class are best aligned to 64.</summary>
    public int BlockBytes { get; }

    /// <summary>Bytes of a row of 32 elements.</summary>
    internal int RowBytes { get; }

    /// <summary>V panels of a head, 32 dimensions each.</summary>
    public int ValuePanels { get; }

    /// <summary>Whether elements stand for themselves times a scale of their token.</summary>
    internal bool HasScales => Format == KvFormat.Int8;

    /// <summary>Bytes of a head's scales, before its keys.</summary>
    public int ScaleBytes { get; }

    /// <summary>Bytes from one head to the next.</summary>
    public int HeadBytes { get; }

    /// <summary>Writes the keys of one position, already rotated.</summary>
    /// <param name="block">Address of this layer's part of the block, <see cref="BlockBytes"/> long.</param>
    /// <param name="slot">Position within the block, 0 to 31.</param>
    /// <param name="keys">[KvHeads, HeadDim], float32.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void StoreKey(nint block, int slot, ReadOnlySpan<float> keys)
    {
        Check(slot, keys.Length);
        var quantised = stackalloc sbyte[HeadDim];
        for (int head = 0; head < KvHeads; head++)
        {
            byte* row = Keys(block, head);
            var key = keys.Slice(head * HeadDim, HeadDim);
            if (HasScales)
            {
                Quantise(key, quantised, KeyScales(block, head) + slot);
                for (int i = 0; i < HeadDim; i++, row += RowBytes)
                    row[slot] = (byte)quantised[i];
            }
            else
            {
                for (int i = 0; i < HeadDim; i++, row += RowBytes)
                    Write(row, slot, key[i]);
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
        var quantised = stackalloc sbyte[HeadDim];
        for (int head = 0; head < KvHeads; head++)
        {
            var value = values.Slice(head * HeadDim, HeadDim);
            if (HasScales)
                Quantise(value, quantised, ValueScales(block, head) + slot);
            for (int panel = 0; panel < ValuePanels; panel++)
            {
                byte* row = Values(block, head, panel) + slot * RowBytes;
                int first = panel * KvPanel.Width;
                int present = Math.Min(KvPanel.Width, HeadDim - first);
                new Span<byte>(row, RowBytes).Clear();
                if (HasScales)
                    new Span<sbyte>(quantised + first, present).CopyTo(new Span<sbyte>(row, present));
                else
                    for (int i = 0; i < present; i++)
                        Write(row, i, value[first + i]);
            }
        }
    }

    /// <summary>The stored key element, widened and scaled; for tests.</summary>
    public float ReadKey(nint block, int head, int slot, int dim) => KeyElement(block, head, slot, dim) * KeyScale(block, head, slot);

    /// <summary>The stored value element, widened and scaled; for tests.</summary>
    public float ReadValue(nint block, int head, int slot, int dim) => ValueElement(block, head, slot, dim) * ValueScale(block, head, slot);

    /// <summary>The stored key element, widened; for scalar twins, as the three that follow.</summary>
    internal float KeyElement(nint block, int head, int slot, int dim) => Read(Keys(block, head) + dim * RowBytes, slot);

    internal float ValueElement(nint block, int head, int slot, int dim) =>
        Read(Values(block, head, dim / KvPanel.Width) + slot * RowBytes, dim % KvPanel.Width);

    internal float KeyScale(nint block, int head, int slot) => HasScales ? KeyScales(block, head)[slot] : 1f;

    internal float ValueScale(nint block, int head, int slot) => HasScales ? ValueScales(block, head)[slot] : 1f;

    /// <summary>Where a head's part begins: its scales, if it has any, else its keys.</summary>
    internal byte* Head(nint block, int head) => (byte*)block + (nint)head * HeadBytes;

    /// <summary>The scales of a head's keys, [32]; where there are scales.</summary>
    internal float* KeyScales(nint block, int head) => (float*)Head(block, head);

    /// <summary>The scales of a head's values, [32]; where there are scales.</summary>
    internal float* ValueScales(nint block, int head) => KeyScales(block, head) + Tokens;

    /// <summary>The K panel of a head: HeadDim rows.</summary>
    internal byte* Keys(nint block, int head) => Head(block, head) + ScaleBytes;

    /// <summary>A V panel of a head: 32 rows.</summary>
    internal byte* Values(nint block, int head, int panel) => Keys(block, head) + (HeadDim + panel * Tokens) * RowBytes;

    private void Write(byte* row, int element, float value)
    {
        if (Format == KvFormat.Bf16)
            ((ushort*)row)[PairedIndex(element)] = Bf16.Round(value);
        else
            ((float*)row)[element] = value;
    }

    private float Read(byte* row, int element) => Format switch
    {
        KvFormat.Int8 => ((sbyte*)row)[element],
        KvFormat.Bf16 => Bf16.Widen(((ushort*)row)[PairedIndex(element)]),
        _ => ((float*)row)[element],
    };

    private static void Quantise(ReadOnlySpan<float> head, sbyte* elements, float* scale)
    {
        int sum;
        fixed (float* source = head)
            ActivationQuantizer.QuantizePlainBlock(source, head.Length, elements, scale, &sum);
    }

    private static int PairedIndex(int element) => (element & 15) * 2 + (element >> 4);

    private void Check(int slot, int length)
    {
        if ((uint)slot >= Tokens)
            throw new ArgumentOutOfRangeException(nameof(slot), slot, $"A block holds slots 0 to {Tokens - 1}.");
        Shapes.Same(length, KvHeads * HeadDim);
    }
}
