using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Causal attention of query rows over a paged KV cache, one KV head at a time (xAI's <c>MultiHeadAttention</c>):
/// logits <c>q.k * multiplier</c>, soft cap, softmax, sum of <c>p v</c>; float32 throughout.
/// The context is taken a KV block at a time: scores, exponentials and weighted values of a block are done while it is in
/// the cache, for all rows of a tile. Yet every row's arithmetic is its own: q.k goes through the dimensions in order,
/// p v through the positions in order, one multiply-add each, exponentials are added in the order of <see cref="LaneSum"/>;
/// every <see cref="SplitTokens"/> positions these sums start anew and are added to what came before. So a row has the
/// same bits alone, in a tile, in any chunk of a prefill, and when several threads share its context.
/// </summary>
public static unsafe class Attention
{
    /// <summary>Rows of a tile that make good use of a block without scratch that overflows the cache.</summary>
    public const int TileRows = 16;

    /// <summary>Positions whose sums are formed together, a multiple of a KV block's: the part of a context that a thread can take.</summary>
    public const int SplitTokens = 1024;

    private const int SplitBlocks = SplitTokens / KvBlockLayout.Tokens;

    /// <summary>Splits of a context.</summary>
    public static int Splits(int context) => (context + SplitTokens - 1) / SplitTokens;

    /// <summary>Attends for consecutive rows of one sequence. Row r stands at position start + r and sees positions 0 to start + r.</summary>
    /// <param name="shape">The model's shape.</param>
    /// <param name="blocks">Address of this layer's part of the block of each 32 positions, at least up to the last row's.</param>
    /// <param name="kvHead">The KV head.</param>
    /// <param name="start">Position of the first row.</param>
    /// <param name="rows">Rows, at least 1; all their keys and values are stored already.</param>
    /// <param name="queries">The first row's query heads of this KV head, [rows] x [Group, HeadDim], rotated; rows are <paramref name="queryStride"/> apart.</param>
    /// <param name="queryStride">Elements from one row to the next.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.ScratchLength"/> of the rows.</param>
    /// <param name="output">As <paramref name="queries"/>, overwritten; rows are <paramref name="outputStride"/> apart.</param>
    /// <param name="outputStride">Elements from one row to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows,
        ReadOnlySpan<float> queries, int queryStride, Span<float> scratch, Span<float> output, int outputStride)
    {
        Check(shape, blocks, kvHead, start, rows, queries.Length, queryStride, output.Length, outputStride);
        Shapes.AtLeast(scratch.Length, shape.ScratchLength(rows));
        fixed (float* q = queries)
        fixed (float* total = scratch)
        fixed (float* y = output)
        {
            float* partial = total + rows * shape.PartialLength;
            float* scores = partial + rows * shape.PartialLength;
            Split(shape, blocks, kvHead, start, rows, 0, q, queryStride, scores, total);
            for (int split = 1; split < Splits(start + rows); split++)
            {
                Split(shape, blocks, kvHead, start, rows, split, q, queryStride, scores, partial);
                int first = Math.Max(0, split * SplitTokens - start);
                Add(partial + first * shape.PartialLength, (rows - first) * shape.PartialLength, total + first * shape.PartialLength);
            }
            for (int row = 0; row < rows; row++)
                Divide(shape, total + row * shape.PartialLength, y + (nint)row * outputStride);
        }
    }

    /// <summary>Combines the splits of one row, in order, into what <see cref="Rows"/> gives.</summary>
    /// <param name="partials">The first split's, which becomes the sum; the next one's is <paramref name="stride"/> on.</param>
    /// <param name="splits">Splits of the row's context.</param>
    /// <param name="output">[Group, HeadDim], overwritten.</param>
    internal static void Combine(AttentionShape shape, float* partials, long stride, int splits, float* output)
    {
        for (int split = 1; split < splits; split++)
            Add(partials + split * stride, shape.PartialLength, partials);
        Divide(shape, partials, output);
    }

    /// <summary>Scalar twin of <see cref="Rows"/> for a single row at <paramref name="position"/>.</summary>
    public static void RowScalar(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int position, ReadOnlySpan<float> queries, Span<float> output)
    {
        Check(shape, blocks, kvHead, position, 1, queries.Length, 0, output.Length, 0);
        var kv = shape.Kv;
        for (int head = 0; head < shape.Group; head++)
        {
            var query = queries.Slice(head * kv.HeadDim, kv.HeadDim);
            var totals = new float[kv.HeadDim + LaneSum.Lanes];
            for (int first = 0; first <= position; first += SplitTokens)
            {
                var sums = new float[totals.Length];
                for (int p = first; p <= Math.Min(position, first + SplitTokens - 1); p++)
                {
                    var (block, slot) = (blocks[p / KvBlockLayout.Tokens], p % KvBlockLayout.Tokens);
                    float dot = 0;
                    for (int dim = 0; dim < kv.HeadDim; dim++)
                        dot = Simd.MultiplyAdd(query[dim], kv.KeyElement(block, kvHead, slot, dim), dot);
                    float weight = CappedExponentials.Scalar(dot * kv.KeyScale(block, kvHead, slot), shape.Factor, shape.SoftCap);
                    sums[kv.HeadDim + LaneSum.Lane(p)] += weight;
                    weight *= kv.ValueScale(block, kvHead, slot);
                    for (int dim = 0; dim < kv.HeadDim; dim++)
                        sums[dim] = Simd.MultiplyAdd(weight, kv.ValueElement(block, kvHead, slot, dim), sums[dim]);
                }
                for (int i = 0; i < totals.Length; i++)
                    totals[i] += sums[i];
            }
            float divisor = LaneSum.Fold(totals.AsSpan(kv.HeadDim));
            for (int dim = 0; dim < kv.HeadDim; dim++)
                output[head * kv.HeadDim + dim] = totals[dim] / divisor;
        }
    }

    /// <summary>One split of <see cref="Rows"/>: scores of whole blocks, of which what lies past a row's own position has no weight.</summary>
    /// <param name="split">The split.</param>
    /// <param name="scores">At least <see cref="AttentionShape.ScratchLength"/> of the rows.</param>
    /// <param name="partials">[rows, PartialLength], overwritten; zero for rows whose position lies before the split.</param>
    /// <inheritdoc cref="Rows"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Split(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows, int split,
        float* queries, int queryStride, float* scores, float* partials)
    {
        var kv = shape.Kv;
        int group = shape.Group, stride = shape.PartialStride;
        int end = Math.Min((split + 1) * SplitBlocks, (start + rows - 1) / KvBlockLayout.Tokens + 1);
        new Span<float>(partials, rows * shape.PartialLength).Clear();
        for (int b = split * SplitBlocks; b < end; b++)
        {
            nint block = blocks[b], nextBlock = blocks[Math.Min(b + 1, end - 1)];
            int first = b * KvBlockLayout.Tokens;
            int firstRow = Math.Max(0, first - start);
            float* keyScales = kv.HasScales ? kv.KeyScales(block, kvHead) : null;
            float* valueScales = kv.HasScales ? kv.ValueScales(block, kvHead) : null;
            if (kv.HasScales)
                Prefetch(kv.Head(nextBlock, kvHead), 2 * KvBlockLayout.Tokens * sizeof(float));
            for (int row = firstRow; row < rows; row++)
            {
                float* target = scores + row * group * KvBlockLayout.Tokens;
                new Span<float>(target, group * KvBlockLayout.Tokens).Clear();
                KvPanel.MultiplyAdd(kv.Format, kv.Keys(block, kvHead), kv.Values(block, kvHead, 0), kv.HeadDim, group,
                    queries + (nint)row * queryStride, kv.HeadDim, target, KvBlockLayout.Tokens);
                float* lanes = partials + row * shape.PartialLength + shape.PaddedHeadDim;
                int seen = Math.Min(KvBlockLayout.Tokens, start + row + 1 - first);
                for (int head = 0; head < group; head++, target += KvBlockLayout.Tokens, lanes += stride)
                    CappedExponentials.Apply(target, seen, shape.Factor, shape.SoftCap, keyScales, valueScales, lanes);
            }
            for (int panel = 0; panel < kv.ValuePanels; panel++)
                for (int row = firstRow; row < rows; row++)
                    KvPanel.MultiplyAdd(kv.Format, kv.Values(block, kvHead, panel), kv.Keys(nextBlock, kvHead) + panel * KvBlockLayout.Tokens * kv.RowBytes,
                        Math.Min(KvBlockLayout.Tokens, start + row + 1 - first), group, scores + row * group * KvBlockLayout.Tokens, KvBlockLayout.Tokens,
                        partials + row * shape.PartialLength + panel * KvPanel.Width, stride);
        }
    }

    private static void Prefetch(byte* address, int bytes)
    {
        const int Line = 64;
        if (Sse.IsSupported)
            for (int i = 0; i < bytes; i += Line)
                Sse.Prefetch0(address + i);
    }

    private static void Add(float* x, int length, float* sum)
    {
        // Both lengths that are added up are multiples of a panel's width.
        for (int i = 0; i < length; i += Vector<float>.Count)
            (Vector.Load(sum + i) + Vector.Load(x + i)).Store(sum + i);
    }

    private static void Divide(AttentionShape shape, float* total, float* output)
    {
        int headDim = shape.Kv.HeadDim;
        for (int head = 0; head < shape.Group; head++, total += shape.PartialStride, output += headDim)
        {
            float divisor = LaneSum.Fold(new Span<float>(total + shape.PaddedHeadDim, LaneSum.Lanes));
            Softmax.Divide(new Span<float>(total, headDim), divisor, new Span<float>(output, headDim));
        }
    }

    private static void Check(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows,
        int queryLength, int queryStride, int outputLength, int outputStride)
    {
        if ((uint)kvHead >= (uint)shape.Kv.KvHeads)
            throw new ArgumentOutOfRangeException(nameof(kvHead), kvHead, $"There are KV heads 0 to {shape.Kv.KvHeads - 1}.");
        Shapes.AtLeast(start, 0);
        Shapes.AtLeast(rows, 1);
        Shapes.AtLeast((long)blocks.Length * KvBlockLayout.Tokens, (long)start + rows);
        Shapes.AtLeast(queryStride, rows == 1 ? 0 : shape.GroupDim);
        Shapes.AtLeast(outputStride, rows == 1 ? 0 : shape.GroupDim);
        Shapes.AtLeast(queryLength, (long)(rows - 1) * queryStride + shape.GroupDim);
        Shapes.AtLeast(outputLength, (long)(rows - 1) * outputStride + shape.GroupDim);
    }
}
