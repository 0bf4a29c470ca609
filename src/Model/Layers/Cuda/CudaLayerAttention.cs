using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Attention;
using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Attention on a GPU, KV memory included. The residual stream is the host's, where experts' answers arrive: a call copies the
/// batch's rows there and back, with its tables, and does everything in between on the device, with the CPU's arithmetic. Small
/// calls are recorded as graphs, one for each layer and size, and launched as one.
/// </summary>
public sealed unsafe class CudaLayerAttention : ILayerAttention
{
    /// <summary>Sizes whose graphs are kept, each for all layers.</summary>
    private const int MostSizes = 16;

    private readonly Grok1Config _config;
    private readonly IKernelDevice _device;
    private readonly bool _exact;
    private readonly KvBlockLayout _kv;
    private readonly DenseKernels _dense;
    private readonly AttentionKernels _kernels;
    private readonly CudaAttentionWeights _weights;
    private readonly IKernelStream _stream;
    private readonly StagingBuffer _staging;
    private readonly DeviceScratch _values, _scales, _floats, _queryKeyValue, _heads, _output, _partials;
    private readonly AttentionWork _work = new();
    private readonly RecordedGraphs<AttentionSize> _graphs;

    /// <summary>Copies the weights to the device.</summary>
    /// <param name="device">The device; not disposed.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors, in memory; int8.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public CudaLayerAttention(IKernelDevice device, Grok1Config config, DenseWeights weights, bool exact, KvFormat? kvFormat = null)
    {
        (_device, _config, _exact) = (device, config, exact);
        _kv = new KvBlockLayout(config.KeyValueHeadCount, config.HeadDim, kvFormat ?? KvBlockLayout.FormatFor(exact));
        _kernels = new AttentionKernels(device, _kv, config.QueryHeadCount);
        _dense = new DenseKernels(device);
        _weights = new CudaAttentionWeights(device, _dense, config, weights);
        _graphs = new RecordedGraphs<AttentionSize>(MostSizes * config.LayerCount);
        _stream = device.CreateStream();
        _staging = new StagingBuffer(device);
        (_values, _scales, _floats) = (new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device));
        (_queryKeyValue, _heads, _output, _partials) = (new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device));
    }

    public long KvBlockBytes => (long)_kv.BlockBytes * _config.LayerCount;

    public IKvMemory AllocateKv(long bytes) => new CudaKvMemory(_device.Allocate(bytes));

    public void Forward(int layer, TokenBatch batch, NativeBuffer<float> residual)
    {
        var call = LayOut(layer, batch);
        Fill(call, batch, residual);
        if (call.Rows <= DenseKernels.MostStreamed)
            _stream.Run(_graphs.Find(call.Size) ?? _graphs.Add(call.Size, Record(call)));
        else
            Enqueue(call);
        _stream.Synchronize();
        Buffer.MemoryCopy((void*)(_staging.Host + (nint)call.ResidualAt), residual.Pointer, ResidualBytes(call.Rows), ResidualBytes(call.Rows));
    }

    public void Dispose()
    {
        _graphs.Forget();
        foreach (var owned in (IDisposable[])[_stream, _staging, _values, _scales, _floats, _queryKeyValue, _heads, _output, _partials, _weights, _dense, _kernels])
            owned.Dispose();
    }

    private int Group => _config.QueryHeadCount / _config.KeyValueHeadCount;

    private long ResidualBytes(int rows) => (long)rows * _config.EmbeddingDim * sizeof(float);

    /// <summary>Gives everything its place in the staging buffer and makes the scratch large enough.</summary>
    private Call LayOut(int layer, TokenBatch batch)
    {
        var most = 0;
        for (var index = 0; index < batch.Runs.Count; index++)
            most = Math.Max(most, batch.Runs[index].Rows);
        var tileQueries = _kernels.TileQueries(most * Group);
        _work.Divide(batch, Group, tileQueries);
        var size = new AttentionSize(layer, batch.Rows, _work.Tiles.Length, _work.Merges.Length, batch.Blocks.Length, tileQueries);
        var call = new Call { Rows = batch.Rows, Size = batch.Rows <= DenseKernels.MostStreamed ? size.RoundedUp() : size };
        _staging.Begin();
        call.PlacesAt = _staging.Reserve<RowPlace>(call.Size.Rows);
        call.TilesAt = _staging.Reserve<AttentionTile>(call.Size.Tiles);
        call.MergesAt = _staging.Reserve<AttentionMerge>(call.Size.Merges);
        call.BlocksAt = _staging.Reserve<nint>(call.Size.Blocks);
        call.ResidualAt = _staging.Reserve<float>((long)call.Size.Rows * _config.EmbeddingDim);
        var moved = _staging.Commit();

        long rows = call.Size.Rows;
        var stride = Math.Max(_weights.Input.Stride, _weights.Output.Stride);
        var blocks = Math.Max(_weights.Input.Store.BlockCount, _weights.Output.Store.BlockCount);
        moved |= _exact
            ? _floats.Resize(rows * stride * sizeof(float))
            : _values.Resize(rows * stride) | _scales.Resize(rows * blocks * sizeof(float));
        moved |= _queryKeyValue.Resize(rows * _weights.InputColumns * sizeof(float));
        moved |= _heads.Resize(rows * _config.QueryDim * sizeof(float));
        moved |= _output.Resize(rows * _weights.OutputColumns * sizeof(float));
        // Every split that waits to be added up is a tile.
        var partials = call.Size.Merges == 0 ? 0 : call.Size.Tiles;
        moved |= _partials.Resize((long)partials * _config.KeyValueHeadCount * _kernels.PartialLength(tileQueries) * sizeof(float));
        if (moved)
            _graphs.Forget();
        return call;
    }

    private void Fill(Call call, TokenBatch batch, NativeBuffer<float> residual)
    {
        var places = _staging.At<RowPlace>(call.PlacesAt, call.Size.Rows);
        places.Clear();
        for (var index = 0; index < batch.Runs.Count; index++)
        {
            var run = batch.Runs[index];
            for (var row = 0; row < run.Rows; row++)
            {
                var position = run.Start + row;
                places[run.FirstRow + row] = new RowPlace { Block = batch.Blocks[run.FirstBlock + position / KvBlockLayout.Tokens], Position = position };
            }
        }
        CopyCleared(_work.Tiles, _staging.At<AttentionTile>(call.TilesAt, call.Size.Tiles));
        CopyCleared(_work.Merges, _staging.At<AttentionMerge>(call.MergesAt, call.Size.Merges));
        batch.Blocks.CopyTo(_staging.At<nint>(call.BlocksAt, call.Size.Blocks));
        Buffer.MemoryCopy(residual.Pointer, (void*)(_staging.Host + (nint)call.ResidualAt), ResidualBytes(call.Rows), ResidualBytes(call.Rows));
    }

    /// <summary>Fills a table up with entries that have no queries.</summary>
    private static void CopyCleared<T>(ReadOnlySpan<T> entries, Span<T> table)
    {
        entries.CopyTo(table);
        table[entries.Length..].Clear();
    }

    /// <summary>Apart from <see cref="Forward"/>, which allocates nothing.</summary>
    private IKernelGraph Record(Call call) => _stream.Capture(() => Enqueue(call));

    /// <summary>A layer's attention, step by step.</summary>
    private void Enqueue(Call call)
    {
        var residual = _staging.Device + (nint)call.ResidualAt;
        _stream.CopyToDevice(_staging.Device, _staging.Host, _staging.Used);
        _dense.NormRows(_stream, Rows(_weights.Input, residual, _config.EmbeddingDim, _config.EmbeddingDim, _weights.NormBefore(call.Size.Layer)), call.Size.Rows, _exact);
        _dense.Multiply(_stream, Product(call, _weights.Input, _weights.InputMatrix(call.Size.Layer), _weights.InputColumns, _queryKeyValue), _exact);
        _kernels.Store(_stream, Store(call), call.Size.Rows);
        _kernels.Attend(_stream, Attend(call), call.Size.Tiles, call.Size.Merges);
        _dense.Rows(_stream, Rows(_weights.Output, _heads.Address, _config.QueryDim, _config.QueryDim, norm: 0), call.Size.Rows, _exact);
        _dense.Multiply(_stream, Product(call, _weights.Output, _weights.OutputMatrix(call.Size.Layer), _weights.OutputColumns, _output), _exact);
        _dense.AddToResidual(_stream, new ResidualAdd
        {
            Y = _output.Address,
            Norm = _weights.NormAfter(call.Size.Layer),
            Residual = residual,
            YStride = _weights.OutputColumns,
            Columns = _config.EmbeddingDim,
            Epsilon = _config.RmsNormEpsilon,
        }, call.Size.Rows);
        _stream.CopyToHost(_staging.Host + (nint)call.ResidualAt, residual, ResidualBytes(call.Size.Rows));
    }

    private ActivationRows Rows(CudaAxis axis, nint x, int stride, int columns, nint norm) => new()
    {
        X = x,
        Norm = norm,
        Blocks = axis.Blocks(_weights.Tables),
        Values = _values.Address,
        Scales = _scales.Address,
        Floats = _floats.Address,
        XStride = stride,
        Columns = columns,
        BlockCount = axis.Store.BlockCount,
        Stride = axis.Stride,
        Epsilon = _config.RmsNormEpsilon,
    };

    private DenseProduct Product(Call call, CudaAxis axis, nint matrix, int columns, DeviceScratch y) => new()
    {
        Blocks = axis.Blocks(_weights.Tables),
        Weights = matrix,
        Values = _values.Address,
        Scales = _scales.Address,
        Floats = _floats.Address,
        Y = y.Address,
        BlockCount = axis.Store.BlockCount,
        Stride = axis.Stride,
        Columns = columns,
        Rows = call.Size.Rows,
        Multiplier = 1,
    };

    private KvStore Store(Call call) => new()
    {
        Shape = _kernels.Shape,
        Rows = _queryKeyValue.Address,
        Places = _staging.Device + (nint)call.PlacesAt,
        Cosines = _weights.Cosines,
        Sines = _weights.Sines,
        Layer = LayerOffset(call),
        Stride = _weights.InputColumns,
        Key = _weights.Key,
        Value = _weights.Value,
    };

    private AttentionCall Attend(Call call) => new()
    {
        Shape = _kernels.Shape,
        Tiles = _staging.Device + (nint)call.TilesAt,
        Merges = _staging.Device + (nint)call.MergesAt,
        Blocks = _staging.Device + (nint)call.BlocksAt,
        Queries = _queryKeyValue.Address,
        Output = _heads.Address,
        Partials = _partials.Address,
        Layer = LayerOffset(call),
        QueryStride = _weights.InputColumns,
        TileQueries = call.Size.TileQueries,
        Factor = _config.AttentionMultiplier / _config.AttentionSoftCap,
        SoftCap = _config.AttentionSoftCap,
    };

    /// <summary>Bytes from a KV block's address to the layer's part.</summary>
    private long LayerOffset(Call call) => (long)call.Size.Layer * _kv.BlockBytes;

    /// <summary>A call's rows, the room for them, and where its parts lie in the staging buffer, in bytes from its start.</summary>
    private struct Call
    {
        public int Rows;
        public AttentionSize Size;
        public long PlacesAt, TilesAt, MergesAt, BlocksAt, ResidualAt;
    }
}
