using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Kernels.Cuda.Tests.Kernels;

/// <summary>Attention of a random model twice, emulated and on the CPU, over KV blocks in no order; every step must give the same bits.</summary>
internal sealed unsafe class AttentionLab : IDisposable
{
    private const int BlockCount = 100;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-cuda-attention-");
    private readonly ComputePool _pool = new(1, spin: false);
    private readonly ModelStore _store;
    private readonly DenseWeights _weights;
    private readonly CpuLayerAttention _cpu;
    private readonly CudaLayerAttention _cuda;
    private readonly IKvMemory _cpuKv, _cudaKv;
    private readonly Dictionary<int, (List<int> Blocks, int Length)> _sequences = [];
    private readonly Random _random = new(3);
    private readonly Queue<int> _free;

    public AttentionLab(Grok1Config config, bool exact, KvFormat kvFormat, int order = 0)
    {
        var path = Path.Combine(_folder.FullName, "store");
        StoreBuilder.Synthesise(config, 5, path, new StoreBuildOptions { Weights = Formats.WeightFormat.Int8, Threads = 1 }, null, CancellationToken.None);
        _store = ModelStore.Open(path);
        _weights = _store.OpenDense();
        Device = new EmulatedDevice(order);
        _cpu = new CpuLayerAttention(config, _weights, _pool, exact, kvFormat);
        _cuda = new CudaLayerAttention(Device, config, _weights, exact, kvFormat);
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

    /// <summary>Continues sequences by some rows each, in one batch through every layer.</summary>
    public void Step(params (int Sequence, int Rows)[] runs)
    {
        var (cpuBatch, cudaBatch) = (new TokenBatch(), new TokenBatch());
        foreach (var (sequence, rows) in runs)
        {
            var (blocks, start) = Grow(sequence, rows);
            cpuBatch.Add(new int[rows], start, Addresses(_cpuKv, blocks));
            cudaBatch.Add(new int[rows], start, Addresses(_cudaKv, blocks));
        }
        using var expected = Residual(cpuBatch.Rows);
        using var actual = new NativeBuffer<float>(expected.Length);
        expected.Span.CopyTo(actual.Span);
        for (var layer = 0; layer < _store.Config.LayerCount; layer++)
        {
            _cpu.Forward(layer, cpuBatch, expected);
            _cuda.Forward(layer, cudaBatch, actual);
            for (var i = 0; i < expected.Length; i++)
                Assert.True(
                    BitConverter.SingleToInt32Bits(expected.Pointer[i]) == BitConverter.SingleToInt32Bits(actual.Pointer[i]),
                    $"layer {layer}, row {i / _store.Config.EmbeddingDim} of {cpuBatch.Rows}, column {i % _store.Config.EmbeddingDim}: {expected.Pointer[i]:r} on the CPU, {actual.Pointer[i]:r} emulated");
        }
    }

    /// <summary>Gives a sequence a past that the CPU alone computes.</summary>
    public void Remember(int sequence, int rows)
    {
        var (blocks, start) = Grow(sequence, rows);
        var batch = new TokenBatch();
        batch.Add(new int[rows], start, Addresses(_cpuKv, blocks));
        using var residual = Residual(rows);
        for (var layer = 0; layer < _store.Config.LayerCount; layer++)
            _cpu.Forward(layer, batch, residual);
        foreach (var block in blocks)
            Buffer.MemoryCopy((void*)Address(_cpuKv, block), (void*)Address(_cudaKv, block), _cpu.KvBlockBytes, _cpu.KvBlockBytes);
    }

    public void Dispose()
    {
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

    private NativeBuffer<float> Residual(int rows)
    {
        var residual = new NativeBuffer<float>((long)rows * _store.Config.EmbeddingDim);
        foreach (ref var value in residual.Span)
            value = (float)(6 * _random.NextDouble() - 3);
        return residual;
    }

    private nint Address(IKvMemory memory, int block) => memory.Address + (nint)(block * _cpu.KvBlockBytes);

    private nint[] Addresses(IKvMemory memory, List<int> blocks) => [.. blocks.Select(block => Address(memory, block))];
}
