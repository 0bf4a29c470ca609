using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// Causal attention of query rows over a paged KV cache, one KV head at a time (xAI's <c>MultiHeadAttention</c>):
/// logits <c>q.k * multiplier</c>, soft cap, softmax, sum of <c>p v</c>; float32 throughout.
/// A tile of rows reads each block once while it is in the cache, yet every row's arithmetic is its own: q.k goes
/// through the dimensions in order, p v through the positions in order, one multiply-add each; the divisor is summed in
/// the order of <see cref="LaneSum"/>. So a row has the same bits alone, in a tile, and in any chunk of a prefill.
/// </summary>
public static unsafe class Attention
{
    /// <summary>Rows of a tile that make good use of a block without scratch that overflows the cache.</summary>
    public const int TileRows = 4;

    /// <summary>Attends for consecutive rows of one sequence. Row r stands at position start + r and sees positions 0 to start + r.</summary>
    /// <param name="shape">The model's shape.</param>
    /// <param name="blocks">Address of this layer's part of the block of each 32 positions, at least up to the last row's.</param>
    /// <param name="kvHead">The KV head.</param>
    /// <param name="start">Position of the first row.</param>
    /// <param name="rows">Rows, at least 1; all their keys and values are stored already.</param>
    /// <param name="queries">The first row's query heads of this KV head, [rows] x [Group, HeadDim], rotated; rows are <paramref name="queryStride"/> apart.</param>
    /// <param name="queryStride">Elements from one row to the next.</param>
    /// <param name="scratch">At least <see cref="AttentionShape.ScratchLength"/> of (rows, start + rows).</param>
    /// <param name="output">As <paramref name="queries"/>, overwritten; rows are <paramref name="outputStride"/> apart.</param>
    /// <param name="outputStride">Elements from one row to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows,
        ReadOnlySpan<float> queries, int queryStride, Span<float> scratch, Span<float> output, int outputStride)
    {
        Check(shape, blocks, kvHead, start, rows, queries.Length, queryStride, output.Length, outputStride);
        Shapes.AtLeast(scratch.Length, shape.ScratchLength(rows, start + rows));
        int context = AttentionShape.PaddedContext(start + rows);
        var scores = scratch[..(rows * shape.Group * context)];
        var sums = scratch.Slice(scores.Length, rows * shape.Group * shape.PaddedHeadDim);
        var divisors = scratch.Slice(scores.Length + sums.Length, rows * shape.Group);
        scratch[..(scores.Length + sums.Length)].Clear();

        fixed (float* q = queries)
        fixed (float* s = scores)
        fixed (float* y = sums)
        {
            AddDots(shape, blocks, kvHead, start, rows, q, queryStride, s, context);
            for (int i = 0; i < rows * shape.Group; i++)
            {
                var row = scores.Slice(i * context, start + i / shape.Group + 1);
                SoftCap.Apply(row, shape.Multiplier, shape.SoftCap);
                divisors[i] = Softmax.Exponentials(row, Softmax.Max(row));
            }
            AddValues(shape, blocks, kvHead, start, rows, s, context, y);
        }
        for (int row = 0; row < rows; row++)
            for (int head = 0; head < shape.Group; head++)
            {
                int i = row * shape.Group + head;
                Softmax.Divide(sums.Slice(i * shape.PaddedHeadDim, shape.Kv.HeadDim), divisors[i],
                    output.Slice(row * outputStride + head * shape.Kv.HeadDim, shape.Kv.HeadDim));
            }
    }

    /// <summary>Scalar twin of <see cref="Rows"/> for a single row at <paramref name="position"/>.</summary>
    public static void RowScalar(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int position, ReadOnlySpan<float> queries, Span<float> output)
    {
        Check(shape, blocks, kvHead, position, 1, queries.Length, 0, output.Length, 0);
        var kv = shape.Kv;
        var scores = new float[position + 1];
        for (int head = 0; head < shape.Group; head++)
        {
            var query = queries.Slice(head * kv.HeadDim, kv.HeadDim);
            Array.Clear(scores);
            for (int p = 0; p <= position; p++)
                for (int dim = 0; dim < kv.HeadDim; dim++)
                    scores[p] = Simd.MultiplyAdd(query[dim], kv.ReadKey(blocks[p / KvBlockLayout.Tokens], kvHead, p % KvBlockLayout.Tokens, dim), scores[p]);
            SoftCap.ApplyScalar(scores, shape.Multiplier, shape.SoftCap);
            float divisor = Softmax.ExponentialsScalar(scores, Softmax.MaxScalar(scores));
            for (int dim = 0; dim < kv.HeadDim; dim++)
            {
                float sum = 0;
                for (int p = 0; p <= position; p++)
                    sum = Simd.MultiplyAdd(scores[p], kv.ReadValue(blocks[p / KvBlockLayout.Tokens], kvHead, p % KvBlockLayout.Tokens, dim), sum);
                output[head * kv.HeadDim + dim] = sum / divisor;
            }
        }
    }

    // Computes whole blocks: what lies past a row's own position is never looked at.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddDots(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows,
        float* queries, int queryStride, float* scores, int context)
    {
        var kv = shape.Kv;
        int last = (start + rows - 1) / KvBlockLayout.Tokens;
        for (int first = 0; first < start + rows; first += KvBlockLayout.Tokens)
        {
            byte* keys = kv.Keys(blocks[first / KvBlockLayout.Tokens], kvHead);
            byte* next = kv.Keys(blocks[Math.Min(first / KvBlockLayout.Tokens + 1, last)], kvHead);
            for (int row = Math.Max(0, first - start); row < rows; row++)
                KvPanel.MultiplyAdd(kv.Format, keys, next, kv.HeadDim, shape.Group, queries + (nint)row * queryStride, kv.HeadDim,
                    scores + (nint)row * shape.Group * context + first, context);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddValues(AttentionShape shape, ReadOnlySpan<nint> blocks, int kvHead, int start, int rows,
        float* weights, int context, float* sums)
    {
        var kv = shape.Kv;
        int width = shape.PaddedHeadDim;
        int last = (start + rows - 1) / KvBlockLayout.Tokens;
        for (int first = 0; first < start + rows; first += KvBlockLayout.Tokens)
            for (int panel = 0; panel < kv.ValuePanels; panel++)
            {
                byte* values = kv.Values(blocks[first / KvBlockLayout.Tokens], kvHead, panel);
                byte* next = kv.Values(blocks[Math.Min(first / KvBlockLayout.Tokens + 1, last)], kvHead, panel);
                for (int row = Math.Max(0, first - start); row < rows; row++)
                    KvPanel.MultiplyAdd(kv.Format, values, next, Math.Min(KvBlockLayout.Tokens, start + row + 1 - first), shape.Group,
                        weights + (nint)row * shape.Group * context + first, context,
                        sums + (nint)row * shape.Group * width + panel * KvPanel.Width, width);
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
