using System.Diagnostics;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>
/// One layer's attention and router, and the head, of Grok-1's own geometry in fast mode: whole calls as the coordinator makes them, from
/// the experts' answers in host memory to what goes to the experts of the next layer.
/// </summary>
internal static class LayerBench
{
    private const int EmbeddingDim = 6144, QueryHeads = 48, KvHeads = 8, HeadDim = 128, Vocabulary = 131072, Positions = 8192, PrefillRows = 1024;
    private const int LeastTurns = 10;
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    public static void Run(CudaDevice device, ComputePool pool, CardRoofs roofs)
    {
        using var model = new RandomModel(EmbeddingDim, QueryHeads, KvHeads, HeadDim, Vocabulary, Positions);
        foreach (var format in (KvFormat[])[KvFormat.Bf16, KvFormat.Int8])
        {
            var layers = new CudaDenseLayers(device, model.Config, model.Weights, model.Store.ExpertLayout, pool, exact: false, format);
            var matrices = EmbeddingDim * (2L * QueryHeads * HeadDim + 2L * KvHeads * HeadDim);
            var position = new KvBlockLayout(KvHeads, HeadDim, format).BlockBytes / KvBlockLayout.Tokens;
            // Owns the layers.
            using var sequences = new PagedBatch(layers, sequences: 16, Positions);
            using var stream = layers.CreateStream();
            using var input = new Activations(model.Store.ExpertLayout.InputAxis, ActivationFormat.Int8Blocks);
            foreach (var context in (int[])[512, 2048, 8191])
                foreach (var count in (int[])[1, 4, 16])
                    Report($"layer, KV {format}, {count,2} sequences at {context,4} positions", matrices + (long)count * context * position, roofs, Layer(model, stream, input, sequences.Step(count, context, 1)));
            foreach (var start in (int[])[0, 4096])
                Report($"layer, KV {format}, prefill of {PrefillRows} rows from position {start}", null, roofs, Layer(model, stream, input, sequences.Step(1, start, PrefillRows)));
            if (format == KvFormat.Bf16)
                foreach (var rows in (int[])[1, 8, 32])
                    Report($"head, {rows} rows", (long)EmbeddingDim * Vocabulary, roofs, Logits(model, layers, stream, input, sequences.Step(1, 0, rows)));
        }
    }

    /// <summary>Answers of experts, attention, router.</summary>
    private static unsafe Action Layer(RandomModel model, IResidualStream stream, Activations input, TokenBatch batch)
    {
        var (experts, gates) = (new int[batch.Rows * model.Config.ExpertsPerToken], new float[batch.Rows * model.Config.ExpertsPerToken]);
        var sum = new NativeBuffer<float>((long)batch.Rows * EmbeddingDim);
        var random = new Random(batch.Rows);
        foreach (ref var value in sum.Span)
            value = (float)(6 * random.NextDouble() - 3);
        input.Resize(batch.Rows);
        stream.Begin(batch);
        stream.Forward(0, input, experts, gates);
        return () =>
        {
            stream.AddExperts(sum.Pointer);
            stream.Forward(0, input, experts, gates);
        };
    }

    private static Action Logits(RandomModel model, IDenseLayers layers, IResidualStream stream, Activations input, TokenBatch batch)
    {
        Layer(model, stream, input, batch)();
        var logits = new NativeBuffer<float>((long)batch.Rows * Vocabulary);
        ResidualRow[] rows = [.. Enumerable.Range(0, batch.Rows).Select(row => new ResidualRow(stream, row))];
        return () => layers.Logits(rows, logits);
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
