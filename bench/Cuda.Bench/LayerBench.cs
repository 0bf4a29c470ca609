using System.Diagnostics;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>
/// One layer's attention, and the head, of Grok-1's own geometry in fast mode: whole calls as the coordinator makes them, from the
/// residual stream in host memory and back.
/// </summary>
internal static class LayerBench
{
    private const int EmbeddingDim = 6144, QueryHeads = 48, KvHeads = 8, HeadDim = 128, Vocabulary = 131072, Positions = 8192, PrefillRows = 1024;
    private const int LeastTurns = 10;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    public static void Run(CudaDevice device, CardRoofs roofs)
    {
        using var model = new RandomModel(EmbeddingDim, QueryHeads, KvHeads, HeadDim, Vocabulary, Positions);
        foreach (var format in (KvFormat[])[KvFormat.Bf16, KvFormat.Int8])
        {
            var attention = new CudaLayerAttention(device, model.Config, model.Weights, exact: false, format);
            var matrices = EmbeddingDim * (2L * QueryHeads * HeadDim + 2L * KvHeads * HeadDim);
            var position = new KvBlockLayout(KvHeads, HeadDim, format).BlockBytes / KvBlockLayout.Tokens;
            using var sequences = new PagedBatch(attention, sequences: 16, Positions);
            foreach (var context in (int[])[512, 2048, 8191])
                foreach (var count in (int[])[1, 4, 16])
                    Report($"attention, KV {format}, {count,2} sequences at {context,4} positions", matrices + (long)count * context * position, roofs, Forward(attention, sequences.Step(count, context, 1)));
            foreach (var start in (int[])[0, 4096])
                Report($"attention, KV {format}, prefill of {PrefillRows} rows from position {start}", null, roofs, Forward(attention, sequences.Step(1, start, PrefillRows)));
        }
        using var head = new CudaLogitHead(device, model.Config, model.Weights);
        foreach (var rows in (int[])[1, 8, 32])
            Report($"head, {rows} rows", (long)EmbeddingDim * Vocabulary, roofs, Logits(head, rows));
    }

    private static Action Forward(CudaLayerAttention attention, TokenBatch batch)
    {
        var residual = Rows(batch.Rows);
        return () => attention.Forward(0, batch, residual);
    }

    private static Action Logits(CudaLogitHead head, int rows)
    {
        var (residual, logits) = (Rows(rows), new NativeBuffer<float>((long)rows * Vocabulary));
        int[] all = [.. Enumerable.Range(0, rows)];
        return () => head.Run(residual, all, logits);
    }

    private static NativeBuffer<float> Rows(int count)
    {
        var rows = new NativeBuffer<float>((long)count * EmbeddingDim);
        var random = new Random(count);
        foreach (ref var value in rows.Span)
            value = (float)(6 * random.NextDouble() - 3);
        return rows;
    }

    /// <param name="what">What is measured.</param>
    /// <param name="bytes">That it must read at least; null: it is not about memory.</param>
    /// <param name="roofs">The card's own rates.</param>
    /// <param name="call">One call.</param>
    private static void Report(string what, long? bytes, CardRoofs roofs, Action call)
    {
        call();
        var best = double.MaxValue;
        var begin = Stopwatch.GetTimestamp();
        for (var turn = 0; turn < LeastTurns || Stopwatch.GetElapsedTime(begin) < Budget; turn++)
        {
            var start = Stopwatch.GetTimestamp();
            call();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        Console.WriteLine($"{what,-62} {best * 1e3,9:F3} ms{(bytes is { } read ? $"  {read / best / 1e9,7:F0} GB/s = {read / best / roofs.CopyBytesPerSecond,4:P0} of the copy" : "")}");
    }
}
