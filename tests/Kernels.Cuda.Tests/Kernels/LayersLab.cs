using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>The coordinator's part of a random model twice, emulated and on the CPU, over KV blocks in no order; every step must give the same bits.</summary>
internal sealed unsafe class LayersLab : IDisposable
{
    private const int BlockCount = 100;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-attention-");
    private readonly ComputePool _pool = new(1, spin: false);
    private readonly ModelStore _store;
    private readonly DenseWeights _weights;
    private readonly CpuDenseLayers _cpu;
    private readonly CudaDenseLayers _cuda;
    private readonly List<(Side Cpu, Side Cuda)> _streams = [];
    private readonly IKvMemory _cpuKv, _cudaKv;
    private readonly Dictionary<int, (List<int> Blocks, int Length)> _sequences = [];
    private readonly Random _random = new(3);
    private readonly Queue<int> _free;

    public LayersLab(Grok1Config config, bool exact, KvFormat kvFormat, int order = 0, WeightFormat weights = WeightFormat.Int8)
    {
        var path = Path.Combine(_folder.FullName, "store");
        StoreBuilder.Synthesise(config, 5, path, new StoreBuildOptions { Weights = weights, Threads = 1 }, null, CancellationToken.None);
        _store = ModelStore.Open(path);
        _weights = _store.OpenDense();
        Device = new EmulatedDevice(order);
        _cpu = new CpuDenseLayers(config, _weights, _pool, exact, kvFormat);
        _cuda = new CudaDenseLayers(Device, config, _weights, _store.ExpertLayout, _pool, exact, kvFormat);
        var format = PanelProduct.ActivationsFor(_store.ExpertLayout.Format, exact);
        for (var stream = 0; stream < 2; stream++)
            _streams.Add((new Side(_cpu, _store, format), new Side(_cuda, _store, format)));
        var bytes = _cpu.KvBlockBytes * BlockCount;
        Assert.Equal(_cpu.KvBlockBytes, _cuda.KvBlockBytes);
        (_cpuKv, _cudaKv) = (_cpu.AllocateKv(bytes), _cuda.AllocateKv(bytes));
        // What is not stored must not be read: float32 and bfloat16 of these bits are no numbers.
        new Span<byte>((void*)_cudaKv.Address, checked((int)bytes)).Fill(0xff);
        var shuffled = Enumerable.Range(0, BlockCount).ToArray();
        _random.Shuffle(shuffled);
        _free = new Queue<int>(shuffled);
    }

    public EmulatedDevice Device { get; }

    /// <summary>Whether experts' answers have values that dominate their rows, and the residual stream with them.</summary>
    public bool AnswersHaveOutliers { get; init; }

    /// <summary>Outliers of the experts' input so far.</summary>
    public int Outliers { get; private set; }

    /// <summary>Continues sequences by some rows each, in one batch through every layer and the head.</summary>
    public void Step(params (int Sequence, int Rows)[] runs) => StepInTurns(runs);

    /// <summary>Batches that take turns: of each a layer, then of each the next.</summary>
    public void StepInTurns(params (int Sequence, int Rows)[][] batches)
    {
        for (var i = 0; i < batches.Length; i++)
            Begin(_streams[i], batches[i]);
        for (var layer = 0; layer < _store.Config.LayerCount; layer++)
        {
            for (var i = 0; i < batches.Length; i++)
            {
                _streams[i].Cpu.Forward(layer);
                _streams[i].Cuda.Forward(layer);
                _streams[i].Cuda.MustBe(_streams[i].Cpu, layer);
                Outliers += _streams[i].Cpu.CountOutliers();
            }
            for (var i = 0; i < batches.Length; i++)
                AddExperts(_streams[i]);
        }
        CompareLogits(batches.Length);
    }

    /// <summary>Gives a sequence a past that the CPU alone computes.</summary>
    public void Remember(int sequence, int rows)
    {
        var (blocks, start) = Grow(sequence, rows);
        var batch = new TokenBatch();
        batch.Add(new int[rows], start, Addresses(_cpuKv, blocks));
        var side = _streams[0].Cpu;
        side.Begin(batch);
        for (var layer = 0; layer < _store.Config.LayerCount; layer++)
            side.Forward(layer);
        foreach (var block in blocks)
            Buffer.MemoryCopy((void*)Address(_cpuKv, block), (void*)Address(_cudaKv, block), _cpu.KvBlockBytes, _cpu.KvBlockBytes);
    }

    public void Dispose()
    {
        foreach (var (cpu, cuda) in _streams)
        {
            cpu.Dispose();
            cuda.Dispose();
        }
        _cudaKv.Dispose();
        _cpuKv.Dispose();
        _cuda.Dispose();
        _cpu.Dispose();
        _weights.Dispose();
        _store.Dispose();
        _pool.Dispose();
        _folder.Delete(recursive: true);
    }

    private (List<int> Blocks, int Start) Grow(int sequence, int rows)
    {
        var (blocks, start) = _sequences.GetValueOrDefault(sequence, ([], 0));
        while (blocks.Count * KvBlockLayout.Tokens < start + rows)
            blocks.Add(_free.Dequeue());
        _sequences[sequence] = (blocks, start + rows);
        return (blocks, start);
    }

    private void Begin((Side Cpu, Side Cuda) stream, (int Sequence, int Rows)[] runs)
    {
        var (cpuBatch, cudaBatch) = (new TokenBatch(), new TokenBatch());
        foreach (var (sequence, rows) in runs)
        {
            var (blocks, start) = Grow(sequence, rows);
            int[] tokens = [.. Enumerable.Range(0, rows).Select(_ => _random.Next(_store.Config.VocabularySize))];
            cpuBatch.Add(tokens, start, Addresses(_cpuKv, blocks));
            cudaBatch.Add(tokens, start, Addresses(_cudaKv, blocks));
        }
        stream.Cpu.Begin(cpuBatch);
        stream.Cuda.Begin(cudaBatch);
    }

    /// <summary>Answers as experts might give them.</summary>
    private void AddExperts((Side Cpu, Side Cuda) stream)
    {
        using var sum = new NativeBuffer<float>((long)stream.Cpu.Input.Rows * _store.Config.EmbeddingDim);
        foreach (ref var value in sum.Span)
            value = (float)(6 * _random.NextDouble() - 3);
        for (var row = 0; AnswersHaveOutliers && row < stream.Cpu.Input.Rows; row += 2)
            for (var i = 0; i <= row % 5; i++)
                sum.Span[row * _store.Config.EmbeddingDim + (row * 37 + i * 11) % _store.Config.EmbeddingDim] = i % 2 == 0 ? 900 : -350;
        stream.Cpu.Residual.AddExperts(sum.Pointer);
        stream.Cuda.Residual.AddExperts(sum.Pointer);
        // It may be anything once it was added.
        sum.Span.Fill(float.NaN);
    }

    private void CompareLogits(int streams)
    {
        ResidualRow[] Rows(Func<(Side Cpu, Side Cuda), Side> side) =>
            [.. _streams.Take(streams).SelectMany(stream => Enumerable.Range(0, stream.Cpu.Input.Rows).Select(row => new ResidualRow(side(stream).Residual, row)))];
        var (cpu, cuda) = (Rows(stream => stream.Cpu), Rows(stream => stream.Cuda));
        using var expected = new NativeBuffer<float>((long)cpu.Length * _store.Config.VocabularySize);
        using var actual = new NativeBuffer<float>(expected.Length);
        _cpu.Logits(cpu, expected);
        _cuda.Logits(cuda, actual);
        Side.SameBits(expected.Span, actual.Span, "logits");
    }

    private nint Address(IKvMemory memory, int block) => memory.Address + (nint)(block * _cpu.KvBlockBytes);

    private nint[] Addresses(IKvMemory memory, List<int> blocks) => [.. blocks.Select(block => Address(memory, block))];

    /// <summary>A residual stream and what its router wrote last.</summary>
    private sealed class Side(IDenseLayers layers, ModelStore store, ActivationFormat format) : IDisposable
    {
        private int[] _experts = [];
        private float[] _gates = [];

        public IResidualStream Residual { get; } = layers.CreateStream();

        public Activations Input { get; } = new(store.ExpertLayout.InputAxis, format);

        public int CountOutliers() => format == ActivationFormat.Float32 ? 0 : Enumerable.Range(0, Input.Rows).Sum(Input.CountOutliers);

        public void Begin(TokenBatch batch)
        {
            Input.Resize(batch.Rows);
            (_experts, _gates) = (new int[batch.Rows * store.Config.ExpertsPerToken], new float[batch.Rows * store.Config.ExpertsPerToken]);
            Residual.Begin(batch);
        }

        public void Forward(int layer) => Residual.Forward(layer, Input, _experts, _gates);

        public void MustBe(Side expected, int layer)
        {
            Assert.Equal(expected._experts, _experts);
            SameBits<float>(expected._gates, _gates, $"gates of layer {layer}");
            var (length, blocks) = (Input.Rows * Input.Axis.PaddedLength, Input.Rows * Input.Axis.BlockCount);
            if (format == ActivationFormat.Float32)
            {
                SameBits(new ReadOnlySpan<float>(expected.Input.Floats, length), new ReadOnlySpan<float>(Input.Floats, length), $"activations of layer {layer}");
                return;
            }
            SameBits(new ReadOnlySpan<float>(expected.Input.Scales, blocks), new ReadOnlySpan<float>(Input.Scales, blocks), $"scales of layer {layer}");
            SameBits(new ReadOnlySpan<sbyte>(expected.Input.Values, length), new ReadOnlySpan<sbyte>(Input.Values, length), $"activations of layer {layer}");
            SameBits(new ReadOnlySpan<int>(expected.Input.Sums, blocks), new ReadOnlySpan<int>(Input.Sums, blocks), $"sums of layer {layer}");
            SameBits(new ReadOnlySpan<byte>(expected.Input.OutlierCounts, blocks), new ReadOnlySpan<byte>(Input.OutlierCounts, blocks), $"outliers of layer {layer}");
            for (var b = 0; b < blocks; b++)
                SameBits(expected.Input.OutliersOf(b / Input.Axis.BlockCount, b % Input.Axis.BlockCount), Input.OutliersOf(b / Input.Axis.BlockCount, b % Input.Axis.BlockCount), $"outliers of layer {layer}");
        }

        public static void SameBits<T>(ReadOnlySpan<T> expected, ReadOnlySpan<T> actual, string what)
            where T : unmanaged
        {
            var same = System.Runtime.InteropServices.MemoryMarshal.AsBytes(expected).CommonPrefixLength(System.Runtime.InteropServices.MemoryMarshal.AsBytes(actual)) / sizeof(T);
            Assert.True(same == expected.Length && same == actual.Length, same < expected.Length ? $"{what}, element {same} of {expected.Length}: {expected[same]} on the CPU, {actual[same]} emulated" : what);
        }

        public void Dispose()
        {
            Residual.Dispose();
            Input.Dispose();
        }
    }
}
