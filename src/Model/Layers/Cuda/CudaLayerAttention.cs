using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Attention;
using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// A layer's attention on the device, with the norms around it and the CPU's arithmetic: weights, scratch, and the launches from residual
/// stream to residual stream.
/// </summary>
internal sealed class CudaLayerAttention : IDisposable
{
    private readonly Grok1Config _config;
    private readonly bool _exact;
    private readonly KvBlockLayout _kv;
    private readonly DenseKernels _dense;
    private readonly AttentionKernels _kernels;
    private readonly CudaAttentionWeights _weights;
    private readonly DeviceScratch _values, _scales, _floats, _queryKeyValue, _heads, _output, _partials;

    /// <summary>Copies the weights to the device.</summary>
    /// <param name="device">The device; not disposed.</param>
    /// <param name="dense">Norms and products; not disposed.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors, in memory; int8.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public CudaLayerAttention(IKernelDevice device, DenseKernels dense, Grok1Config config, DenseWeights weights, bool exact, KvFormat? kvFormat)
    {
        (_dense, _config, _exact) = (dense, config, exact);
        _kv = new KvBlockLayout(config.KeyValueHeadCount, config.HeadDim, kvFormat ?? KvBlockLayout.FormatFor(exact));
        _kernels = new AttentionKernels(device, _kv, config.QueryHeadCount);
        _weights = new CudaAttentionWeights(device, dense, config, weights);
        (_values, _scales, _floats) = (new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device));
        (_queryKeyValue, _heads, _output, _partials) = (new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device), new DeviceScratch(device));
    }

    public long KvBlockBytes => (long)_kv.BlockBytes * _config.LayerCount;

    /// <summary>Most queries of a tile for a batch.</summary>
    public int TileQueries(TokenBatch batch)
    {
        var most = 0;
        for (var index = 0; index < batch.Runs.Count; index++)
            most = Math.Max(most, batch.Runs[index].Rows);
        return _kernels.TileQueries(most * Group);
    }

    /// <summary>Cuts a batch into work for thread blocks.</summary>
    public void Divide(TokenBatch batch, int tileQueries, AttentionWork work) => work.Divide(batch, Group, tileQueries);

    /// <summary>Makes the scratch large enough; nothing may be under way.</summary>
    /// <returns>Whether addresses changed.</returns>
    public bool Resize(in AttentionSize size)
    {
        long rows = size.Rows;
        var stride = Math.Max(_weights.Input.Stride, _weights.Output.Stride);
        var blocks = Math.Max(_weights.Input.Store.BlockCount, _weights.Output.Store.BlockCount);
        var moved = _exact
            ? _floats.Resize(rows * stride * sizeof(float))
            : _values.Resize(rows * stride) | _scales.Resize(RowFactors.Bytes(rows, blocks));
        moved |= _queryKeyValue.Resize(rows * _weights.InputColumns * sizeof(float));
        moved |= _heads.Resize(rows * _config.QueryDim * sizeof(float));
        moved |= _output.Resize(rows * _weights.OutputColumns * sizeof(float));
        // Every split that waits to be added up is a tile.
        var partials = size.Merges == 0 ? 0 : size.Tiles;
        return moved | _partials.Resize((long)partials * _config.KeyValueHeadCount * _kernels.PartialLength(size.TileQueries) * sizeof(float));
    }

    /// <summary>A layer's attention, step by step.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="size">Of the batch; the scratch is made for it.</param>
    /// <param name="tables">What is known of the rows.</param>
    /// <param name="residual">[rows, EmbeddingDim] float32, updated.</param>
    public void Enqueue(IKernelStream stream, int layer, in AttentionSize size, in AttentionTables tables, nint residual)
    {
        _dense.NormRows(stream, Rows(_weights.Input, residual, _config.EmbeddingDim, _weights.NormBefore(layer)), size.Rows, _exact);
        _dense.Multiply(stream, Product(size.Rows, _weights.Input, _weights.InputMatrix(layer), _weights.InputColumns, _queryKeyValue), _exact);
        _kernels.Store(stream, Store(layer, tables), size.Rows);
        _kernels.Attend(stream, Attend(layer, size, tables), size.Tiles, size.Merges);
        _dense.Rows(stream, Rows(_weights.Output, _heads.Address, _config.QueryDim, norm: 0), size.Rows, _exact);
        _dense.Multiply(stream, Product(size.Rows, _weights.Output, _weights.OutputMatrix(layer), _weights.OutputColumns, _output), _exact);
        _dense.AddToResidual(stream, new ResidualAdd
        {
            Y = _output.Address,
            Norm = _weights.NormAfter(layer),
            Residual = residual,
            YStride = _weights.OutputColumns,
            Columns = _config.EmbeddingDim,
            Epsilon = _config.RmsNormEpsilon,
        }, size.Rows);
    }

    public void Dispose()
    {
        foreach (var owned in (IDisposable[])[_values, _scales, _floats, _queryKeyValue, _heads, _output, _partials, _weights, _kernels])
            owned.Dispose();
    }

    private int Group => _config.QueryHeadCount / _config.KeyValueHeadCount;

    private ActivationRows Rows(CudaAxis axis, nint x, int columns, nint norm) => new()
    {
        X = x,
        Norm = norm,
        Blocks = axis.Blocks(_weights.Tables),
        Values = _values.Address,
        Scales = _scales.Address,
        Floats = _floats.Address,
        XStride = columns,
        Columns = columns,
        BlockCount = axis.Store.BlockCount,
        Stride = axis.Stride,
        Epsilon = _config.RmsNormEpsilon,
    };

    private DenseProduct Product(int rows, CudaAxis axis, nint matrix, int columns, DeviceScratch y) => new()
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
        Rows = rows,
        Multiplier = 1,
    };

    private KvStore Store(int layer, in AttentionTables tables) => new()
    {
        Shape = _kernels.Shape,
        Rows = _queryKeyValue.Address,
        Places = tables.Places,
        Cosines = _weights.Cosines,
        Sines = _weights.Sines,
        Layer = LayerOffset(layer),
        Stride = _weights.InputColumns,
        Key = _weights.Key,
        Value = _weights.Value,
    };

    private AttentionCall Attend(int layer, in AttentionSize size, in AttentionTables tables) => new()
    {
        Shape = _kernels.Shape,
        Tiles = tables.Tiles,
        Merges = tables.Merges,
        Blocks = tables.Blocks,
        Queries = _queryKeyValue.Address,
        Output = _heads.Address,
        Partials = _partials.Address,
        Layer = LayerOffset(layer),
        QueryStride = _weights.InputColumns,
        TileQueries = size.TileQueries,
        Factor = _config.AttentionMultiplier / _config.AttentionSoftCap,
        SoftCap = _config.AttentionSoftCap,
    };

    /// <summary>Bytes from a KV block's address to the layer's part.</summary>
    private long LayerOffset(int layer) => (long)layer * _kv.BlockBytes;
}
