using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// The coordinator's part of the model on a GPU: KV memory and residual streams live there. A layer is one copy there (the answers of
/// the layer before) and one back (what goes to the experts, and to which). In exact mode the head is the processor's: its float32 table is not copied to the
/// device. All work is in one stream, so streams of rows that take turns find the scratch free.
/// </summary>
public sealed unsafe class CudaDenseLayers : IDenseLayers
{
    /// <summary>Sizes whose graphs are kept, each for all layers.</summary>
    private const int MostSizes = 32;

    private readonly IKernelDevice _device;
    private readonly CudaLogitHead? _head;
    private readonly CpuLogitHead? _hostHead;
    private readonly StagingBuffer _rows;
    private NativeBuffer<float> _hostRows = new(0);
    private int _streams;

    /// <summary>Copies the weights to the device.</summary>
    /// <param name="device">The device; not disposed.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors, in memory; int8.</param>
    /// <param name="experts">Of the experts, whose input the router's rows become.</param>
    /// <param name="pool">Computes the head in exact mode.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public CudaDenseLayers(IKernelDevice device, Grok1Config config, DenseWeights weights, ExpertLayout experts, ComputePool pool, bool exact, KvFormat? kvFormat = null)
    {
        (_device, Config, Weights) = (device, config, weights);
        Stream = device.CreateStream();
        Kernels = new DenseKernels(device);
        Attention = new CudaLayerAttention(device, Kernels, config, weights, exact, kvFormat);
        Router = new CudaRouter(device, Stream, Kernels, config, weights, experts.InputAxis, PanelProduct.ActivationsFor(experts.Format, exact));
        if (exact)
            _hostHead = new CpuLogitHead(config, weights, pool, exact);
        else
            _head = new CudaLogitHead(device, Stream, Kernels, config, weights);
        _rows = new StagingBuffer(device);
        Graphs = new RecordedGraphs<LayerStep>(MostSizes * config.LayerCount);
    }

    public long KvBlockBytes => Attention.KvBlockBytes;

    internal Grok1Config Config { get; }

    internal DenseWeights Weights { get; }

    internal IKernelStream Stream { get; }

    internal DenseKernels Kernels { get; }

    internal CudaLayerAttention Attention { get; }

    internal CudaRouter Router { get; }

    internal RecordedGraphs<LayerStep> Graphs { get; }

    public IKvMemory AllocateKv(long bytes) => new CudaKvMemory(_device.Allocate(bytes));

    public IResidualStream CreateStream() => new CudaResidualStream(this, _device, _streams++);

    public void Logits(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits)
    {
        foreach (var row in rows)
            ((CudaResidualStream)row.Stream).AddPending();
        if (_head is not null)
            _head.Run(rows, logits);
        else
            LogitsOnHost(rows, logits);
    }

    public void Dispose()
    {
        Graphs.Forget();
        _head?.Dispose();
        _hostHead?.Dispose();
        foreach (var owned in (IDisposable[])[_rows, _hostRows, Router, Attention, Kernels, Stream])
            owned.Dispose();
    }

    private void LogitsOnHost(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits)
    {
        var bytes = (long)Config.EmbeddingDim * sizeof(float);
        _rows.Begin();
        _rows.Reserve<float>((long)rows.Length * Config.EmbeddingDim);
        _rows.Commit();
        for (var i = 0; i < rows.Length; i++)
            Stream.CopyToHost(_rows.Host + (nint)(i * bytes), ((CudaResidualStream)rows[i].Stream).Address(rows[i].Row), bytes);
        Stream.Synchronize();
        if (_hostRows.Length < (long)rows.Length * Config.EmbeddingDim)
        {
            _hostRows.Dispose();
            _hostRows = new NativeBuffer<float>(2L * rows.Length * Config.EmbeddingDim);
        }
        Buffer.MemoryCopy((void*)_rows.Host, _hostRows.Pointer, rows.Length * bytes, rows.Length * bytes);
        _hostHead!.Run(_hostRows, [.. Enumerable.Range(0, rows.Length)], logits);
    }
}
