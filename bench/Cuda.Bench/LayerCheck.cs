using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>Attention and head on the device against their twins on the CPU: the bits, and where those differ by how much.</summary>
internal static unsafe class LayerCheck
{
    private const int Sequences = 3;

    // (EmbeddingDim, query heads, KV heads, HeadDim): as in the tests on the emulator.
    private static readonly (int, int, int, int)[] Small = [(176, 6, 2, 24), (256, 6, 1, 32), (72, 12, 1, 40)];

    private static readonly (int, int, int, int) Grok1 = (6144, 48, 8, 128);

    /// <summary>What a fused multiply-add more or less may do, relative to the RMS, where no activation is rounded to int8: what is larger is an error.</summary>
    private const double ExactTolerance = 1e-5;

    /// <summary>Where an activation may be rounded to the next int8 value instead, or a key or value to the next bfloat16.</summary>
    private const double FastTolerance = 2e-2;

    /// <returns>Whether nothing is wrong: bits that differ by rounding are told and do not count.</returns>
    public static bool Run(IKernelDevice device, ComputePool pool, bool smallOnly)
    {
        var good = true;
        foreach (var (embedding, queryHeads, kvHeads, headDim) in smallOnly ? Small : [.. Small, Grok1])
        {
            using var model = new RandomModel(embedding, queryHeads, kvHeads, headDim, vocabulary: 1000, positions: 4096);
            foreach (var exact in (bool[])[true, false])
                foreach (var format in Enum.GetValues<KvFormat>())
                {
                    using var cpu = new PagedAttentionTwin(new CpuLayerAttention(model.Config, model.Weights, pool, exact, format), embedding);
                    using var gpu = new PagedAttentionTwin(new CudaLayerAttention(device, model.Config, model.Weights, exact, format), embedding);
                    var difference = new Difference();
                    // A prefill over the edge of a split, few rows at a long context, and decode.
                    foreach (var (start, rows) in ((int, int)[])[(0, 1020), (1020, 7), (1027, 33), (1060, 1), (1061, 1), (1062, 1000), (2062, 3), (2065, 1)])
                        difference.Add(cpu.Step(start, rows), gpu.Step(start, rows));
                    good &= difference.Report($"attention, {(exact ? "exact" : "fast")}, KV {format}, {embedding} with {queryHeads} heads of {headDim}", exact ? ExactTolerance : FastTolerance);
                }
            good &= CheckHead(device, pool, model);
        }
        return good;
    }

    private static bool CheckHead(IKernelDevice device, ComputePool pool, RandomModel model)
    {
        using var cpu = new CpuLogitHead(model.Config, model.Weights, pool, exact: false);
        using var gpu = new CudaLogitHead(device, model.Config, model.Weights);
        var difference = new Difference();
        foreach (var rows in (int[])[1, 7, 8, 9, 17, 32, 33, 70])
        {
            using var residual = new NativeBuffer<float>((long)rows * model.Config.EmbeddingDim);
            Fill(residual, rows);
            using var expected = new NativeBuffer<float>((long)rows * model.Config.VocabularySize);
            using var actual = new NativeBuffer<float>(expected.Length);
            int[] all = [.. Enumerable.Range(0, rows)];
            cpu.Run(residual, all, expected);
            gpu.Run(residual, all, actual);
            difference.Add(expected.Span, actual.Span);
        }
        return difference.Report($"head, {model.Config.EmbeddingDim} to {model.Config.VocabularySize}", FastTolerance);
    }

    private static void Fill(NativeBuffer<float> rows, int seed)
    {
        var random = new Random(seed);
        foreach (ref var value in rows.Span)
            value = (float)(6 * random.NextDouble() - 3);
    }

    /// <summary>An attention with sequences of its own.</summary>
    private sealed class PagedAttentionTwin(ILayerAttention attention, int embeddingDim) : IDisposable
    {
        private readonly PagedBatch _sequences = new(attention, Sequences, 2100);

        /// <summary>Rows of every sequence, the same for the same step.</summary>
        public float[] Step(int start, int rows)
        {
            using var residual = new NativeBuffer<float>((long)Sequences * rows * embeddingDim);
            Fill(residual, start + rows);
            attention.Forward(0, _sequences.Step(Sequences, start, rows), residual);
            return residual.Span.ToArray();
        }

        public void Dispose() => _sequences.Dispose();
    }
}
