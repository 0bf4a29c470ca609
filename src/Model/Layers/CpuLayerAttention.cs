using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>A layer's attention on the CPU, with the norms around it: passes over the pool, each spread by rows, by output columns or by (rows, KV head).</summary>
public sealed unsafe class CpuLayerAttention : IDisposable
{
    private readonly Grok1Config _config;
    private readonly DenseWeights _weights;
    private readonly ComputePool _pool;
    private readonly KvBlockLayout _kv;
    private readonly PagedAttention _attention;
    private readonly RopeTable _rope;
    private readonly MatrixProduct _product = new();
    private readonly Activations _input;
    private readonly Activations _attended;
    private readonly RowBuffer _query;
    private readonly RowBuffer _key;
    private readonly RowBuffer _value;
    private readonly RowBuffer _heads;
    private readonly RowBuffer _output;
    private readonly DelegateJob _normJob;
    private readonly DelegateJob _storeJob;
    private readonly DelegateJob _quantiseJob;
    private readonly DelegateJob _addJob;
    private int _layer;
    private TokenBatch _batch = null!;
    private NativeBuffer<float> _residual = null!;

    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors.</param>
    /// <param name="pool">Where the work runs.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    public CpuLayerAttention(Grok1Config config, DenseWeights weights, ComputePool pool, bool exact, KvFormat? kvFormat = null)
    {
        (_config, _weights, _pool) = (config, weights, pool);
        _kv = new KvBlockLayout(config.KeyValueHeadCount, config.HeadDim, kvFormat ?? KvBlockLayout.FormatFor(exact));
        _attention = new PagedAttention(new AttentionShape(_kv, config.QueryHeadCount, config.AttentionMultiplier, config.AttentionSoftCap));
        _rope = new RopeTable(config.HeadDim, config.RopeTheta, config.MaxSequenceLength);
        var format = PanelProduct.ActivationsFor(weights.Layout.Format, exact);
        _input = new Activations(weights.Layout.AttentionInputAxis, format);
        _attended = new Activations(weights.Layout.AttentionOutputAxis, format);
        _query = new RowBuffer(PanelLayout.PaddedColumns(config.QueryDim));
        _key = new RowBuffer(PanelLayout.PaddedColumns(config.KeyValueDim));
        _value = new RowBuffer(PanelLayout.PaddedColumns(config.KeyValueDim));
        _heads = new RowBuffer(config.QueryDim);
        _output = new RowBuffer(PanelLayout.PaddedColumns(config.EmbeddingDim));
        _normJob = new DelegateJob(Norm);
        _storeJob = new DelegateJob(RotateAndStore);
        _quantiseJob = new DelegateJob(row => _attended.Set(row, _heads.Row(row)));
        _addJob = new DelegateJob(AddToResidual);
    }

    /// <summary>Bytes of one KV block: keys and values of 32 positions in all layers.</summary>
    public long KvBlockBytes => (long)_kv.BlockBytes * _config.LayerCount;

    /// <summary>Stores the rows' keys and values and adds the layer's attention to the residual stream: <c>h += RmsNorm(Attention(RmsNorm(h)))</c>.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="batch">The rows and where their KV blocks are.</param>
    /// <param name="residual">[batch.Rows, EmbeddingDim] float32, updated.</param>
    public void Forward(int layer, TokenBatch batch, NativeBuffer<float> residual)
    {
        (_layer, _batch, _residual) = (layer, batch, residual);
        Resize(batch.Rows);

        _pool.Run(_normJob, batch.Rows);
        _product.Add(_weights.Packed(TensorRole.Query, layer), _query.Pointer);
        _product.Add(_weights.Packed(TensorRole.Key, layer), _key.Pointer);
        _product.Add(_weights.Packed(TensorRole.Value, layer), _value.Pointer);
        _product.Run(_pool, _input);
        _pool.Run(_storeJob, batch.Rows);
        for (var index = 0; index < batch.Runs.Count; index++)
        {
            var run = batch.Runs[index];
            _attention.Add(run.Start, run.Rows, batch.Blocks.Slice(run.FirstBlock, run.BlockCount), LayerOffset);
        }
        _attention.Run(_pool, _query.Pointer, _query.Stride, _heads.Pointer, _heads.Stride);
        _pool.Run(_quantiseJob, batch.Rows);
        _product.Add(_weights.Packed(TensorRole.AttentionOutput, layer), _output.Pointer);
        _product.Run(_pool, _attended);
        _pool.Run(_addJob, batch.Rows);
    }

    public void Dispose()
    {
        _product.Dispose();
        _attention.Dispose();
        _input.Dispose();
        _attended.Dispose();
        foreach (var buffer in (RowBuffer[])[_query, _key, _value, _heads, _output])
            buffer.Dispose();
    }

    private void Resize(int rows)
    {
        _input.Resize(rows);
        _attended.Resize(rows);
        foreach (var buffer in (ReadOnlySpan<RowBuffer>)[_query, _key, _value, _heads, _output])
            buffer.Resize(rows);
    }

    /// <summary>Bytes from a KV block's address to this layer's part.</summary>
    private nint LayerOffset => (nint)((long)_layer * _kv.BlockBytes);

    private void Norm(int row)
    {
        var normed = new Span<float>(ThreadScratch.Floats(_config.EmbeddingDim), _config.EmbeddingDim);
        RmsNorm.Apply(Residual(row), _weights.Plain(TensorRole.PreAttentionNorm, _layer), _config.RmsNormEpsilon, normed);
        _input.Set(row, normed);
    }

    private void RotateAndStore(int row)
    {
        var run = RunOf(row);
        var position = run.Start + row - run.FirstRow;
        var (block, slot) = Math.DivRem(position, KvBlockLayout.Tokens);
        var address = _batch.Blocks[run.FirstBlock + block] + LayerOffset;
        Rope.Apply(_rope, position, _query.Row(row)[.._config.QueryDim]);
        var key = _key.Row(row)[.._config.KeyValueDim];
        Rope.Apply(_rope, position, key);
        _kv.StoreKey(address, slot, key);
        _kv.StoreValue(address, slot, _value.Row(row)[.._config.KeyValueDim]);
    }

    private void AddToResidual(int row) => RmsNorm.AddTo(
        _output.Row(row)[.._config.EmbeddingDim], _weights.Plain(TensorRole.PostAttentionNorm, _layer), _config.RmsNormEpsilon, Residual(row));

    private Span<float> Residual(int row) => _residual.Slice((long)row * _config.EmbeddingDim, _config.EmbeddingDim);

    private SequenceRun RunOf(int row)
    {
        var runs = _batch.Runs;
        int low = 0, high = runs.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (runs[middle].FirstRow <= row)
                low = middle;
            else
                high = middle - 1;
        }
        return runs[low];
    }
}
