using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Bench;

/// <summary>
/// Attention of two of Grok-1's eight KV heads at the end of a context: a chunk of a prompt, and one row of decode over the
/// KV of several layers, which exceeds the caches.
/// </summary>
internal static unsafe class AttentionBench
{
    private const int KvHeads = 2, Group = 6, HeadDim = 128;
    private const int ChunkRows = 128;

    public static void Run(ComputePool pool)
    {
        foreach (var format in Enum.GetValues<KvFormat>())
            foreach (var context in (int[])[512, 8192])
            {
                Measure(pool, format, context, ChunkRows, layers: 1);
                Measure(pool, format, context, 1, layers: 262_144 / context);
            }
    }

    private static void Measure(ComputePool pool, KvFormat format, int context, int rows, int layers)
    {
        var kv = new KvBlockLayout(KvHeads, HeadDim, format);
        var shape = new AttentionShape(kv, KvHeads * Group, 0.0884f, 30);
        var blocksOfLayer = context / KvBlockLayout.Tokens;
        using var memory = new NativeBuffer<byte>((long)layers * blocksOfLayer * kv.BlockBytes);
        var blocks = Enumerable.Range(0, layers * blocksOfLayer).Select(i => (nint)(memory.Pointer + (long)i * kv.BlockBytes)).ToArray();
        var random = new Random(1);
        var row = Enumerable.Range(0, KvHeads * HeadDim).Select(_ => random.NextSingle() - 0.5f).ToArray();
        pool.Run(new DelegateJob(i =>
        {
            for (var slot = 0; slot < KvBlockLayout.Tokens; slot++)
            {
                kv.StoreKey(blocks[i], slot, row);
                kv.StoreValue(blocks[i], slot, row);
            }
        }), blocks.Length);
        var stride = KvHeads * shape.GroupDim;
        var queries = Enumerable.Range(0, rows * stride).Select(_ => random.NextSingle() - 0.5f).ToArray();
        using var input = new NativeBuffer<float>(rows * stride);
        using var output = new NativeBuffer<float>(rows * stride);
        queries.CopyTo(input.Span);
        using var attention = new PagedAttention(shape);
        var start = context - rows;
        var operations = 4L * Enumerable.Range(start + 1, rows).Sum(seen => (long)seen) * KvHeads * shape.GroupDim;
        Roofs.CompareFloat(pool, $"attention {format} {rows} at {context}", (long)layers * blocksOfLayer * kv.BlockBytes, operations * layers, () =>
        {
            for (var layer = 0; layer < layers; layer++)
            {
                attention.Add(start, rows, blocks.AsSpan(layer * blocksOfLayer, blocksOfLayer), 0);
                attention.Run(pool, input.Pointer, stride, output.Pointer, stride);
            }
        });
    }
}
