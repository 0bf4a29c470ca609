using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>A layer's attention and router, and the head, on the device against their twins on the CPU: the bits, and where those differ by how much.</summary>
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
                    using var cpu = new Twin(new CpuDenseLayers(model.Config, model.Weights, pool, exact, format), model, exact);
                    using var gpu = new Twin(new CudaDenseLayers(device, model.Config, model.Weights, model.Store.ExpertLayout, pool, exact, format), model, exact);
                    var difference = new Difference();
                    // A prefill over the edge of a split, few rows at a long context, and decode.
                    foreach (var (start, rows) in ((int, int)[])[(0, 1020), (1020, 7), (1027, 33), (1060, 1), (1061, 1), (1062, 1000), (2062, 3), (2065, 1)])
                        foreach (var (expected, actual) in cpu.Step(start, rows).Zip(gpu.Step(start, rows)))
                            difference.Add(expected, actual);
                    good &= difference.Report($"attention, router and head, {(exact ? "exact" : "fast")}, KV {format}, {embedding} with {queryHeads} heads of {headDim}", exact ? ExactTolerance : FastTolerance);
                }
        }
        return good;
    }

    /// <summary>A device with sequences of its own.</summary>
    private sealed class Twin : IDisposable
    {
        /// <summary>Rows of which logits are compared: on both sides of what a pass of the head takes.</summary>
        private const int MostLogits = 70;

        private readonly IDenseLayers _layers;
        private readonly RandomModel _model;
        private readonly IResidualStream _stream;
        private readonly Activations _input;
        private readonly PagedBatch _sequences;

        public Twin(IDenseLayers layers, RandomModel model, bool exact)
        {
            (_layers, _model, _stream, _sequences) = (layers, model, layers.CreateStream(), new PagedBatch(layers, Sequences, 2100));
            _input = new Activations(model.Store.ExpertLayout.InputAxis, PanelProduct.ActivationsFor(model.Store.ExpertLayout.Format, exact));
        }

        /// <summary>Rows of every sequence, the same for the same step: what goes to the experts, to which, and logits after answers that anybody might have given.</summary>
        public float[][] Step(int start, int rows)
        {
            var (config, batch) = (_model.Config, _sequences.Step(Sequences, start, rows));
            var (experts, gates) = (new int[batch.Rows * config.ExpertsPerToken], new float[batch.Rows * config.ExpertsPerToken]);
            _input.Resize(batch.Rows);
            _stream.Begin(batch);
            _stream.Forward(0, _input, experts, gates);
            using var sum = new NativeBuffer<float>((long)batch.Rows * config.EmbeddingDim);
            var random = new Random(start + rows);
            foreach (ref var value in sum.Span)
                value = (float)(6 * random.NextDouble() - 3);
            _stream.AddExperts(sum.Pointer);
            var count = Math.Min(batch.Rows, MostLogits);
            using var logits = new NativeBuffer<float>((long)count * config.VocabularySize);
            _layers.Logits([.. Enumerable.Range(batch.Rows - count, count).Select(row => new ResidualRow(_stream, row))], logits);
            return [Dequantised(), [.. experts.Select(expert => (float)expert)], gates, logits.Span.ToArray()];
        }

        public void Dispose()
        {
            _stream.Dispose();
            _input.Dispose();
            _sequences.Dispose();
        }

        private float[] Dequantised()
        {
            var values = new float[_input.Rows * _input.Axis.Length];
            for (var row = 0; row < _input.Rows; row++)
                foreach (var (block, b) in _input.Axis.Blocks.ToArray().Select((block, b) => (block, b)))
                    for (var i = 0; i < block.Length; i++)
                    {
                        var at = (long)row * _input.Axis.PaddedLength + block.PaddedStart + i;
                        values[row * _input.Axis.Length + block.Start + i] =
                            _input.Format == ActivationFormat.Float32 ? _input.Floats[at] : _input.Values[at] * _input.Scales[(long)row * _input.Axis.BlockCount + b];
                    }
            return values;
        }
    }
}
