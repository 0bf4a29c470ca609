using System.Runtime.CompilerServices;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Engine.Forward;

/// <summary>
/// One step of the model over a batch of rows (xAI's <c>Transformer</c>): embedding, then per layer attention, router,
/// experts, then the head for the rows that want logits. Attention and experts are behind their seams. Not for concurrent use.
/// </summary>
public sealed class ForwardPass : IDisposable
{
    private readonly Grok1Config _config;
    private readonly DenseWeights _weights;
    private readonly ComputePool _pool;
    private readonly ILayerAttention _attention;
    private readonly IExpertDispatcher _dispatcher;
    private readonly ExpertBatch _experts;
    private readonly Head _head;
    private readonly DelegateJob _embedJob;
    private readonly DelegateJob _routeJob;
    private readonly DelegateJob _addJob;
    private NativeBuffer<float> _residual = new(0);
    private TokenBatch _batch = null!;

    /// <param name="store">The model.</param>
    /// <param name="weights">Its dense tensors.</param>
    /// <param name="pool">Where the coordinator's share of the work runs.</param>
    /// <param name="attention">The attention of every layer; disposed with this object.</param>
    /// <param name="dispatcher">The way to the experts; not disposed.</param>
    /// <param name="precision">fast or exact.</param>
    public ForwardPass(ModelStore store, DenseWeights weights, ComputePool pool, ILayerAttention attention, IExpertDispatcher dispatcher, Precision precision)
    {
        (_config, _weights, _pool, _attention, _dispatcher) = (store.Config, weights, pool, attention, dispatcher);
        var format = PanelProduct.ActivationsFor(store.ExpertLayout.Format, precision == Precision.Exact);
        _experts = new ExpertBatch(_config, new Activations(store.ExpertLayout.InputAxis, format));
        _head = new Head(_config, weights, pool, precision);
        _embedJob = new DelegateJob(Embed);
        _routeJob = new DelegateJob(Route);
        _addJob = new DelegateJob(AddToResidual);
    }

    /// <summary>Told about every layer's routing, on the caller's thread: (layer, [rows, k] experts best first).</summary>
    public Action<int, ReadOnlyMemory<int>>? Routed { get; set; }

    /// <summary>Runs a batch and computes logits for some of its rows.</summary>
    /// <param name="batch">Rows with their KV blocks; keys and values are stored there.</param>
    /// <param name="logitRows">Rows that want logits.</param>
    /// <param name="logits">[logitRows, VocabularySize] float32, overwritten.</param>
    /// <param name="cancel">Looked at once a layer.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(TokenBatch batch, ReadOnlySpan<int> logitRows, NativeBuffer<float> logits, CancellationToken cancel)
    {
        _batch = batch;
        Resize(batch.Rows);
        _pool.Run(_embedJob, batch.Rows);
        for (var layer = 0; layer < _config.LayerCount; layer++)
        {
            cancel.ThrowIfCancellationRequested();
            _attention.Forward(layer, batch, _residual);
            _experts.Begin(layer, batch.Rows);
            _pool.Run(_routeJob, batch.Rows);
            Routed?.Invoke(layer, _experts.ExpertsMemory);
            _dispatcher.Dispatch(_experts, cancel);
            _dispatcher.Combine(_experts, cancel);
            _pool.Run(_addJob, batch.Rows);
        }
        if (logitRows.Length > 0)
            _head.Run(_residual, logitRows, logits);
    }

    /// <summary>Computes logits for more rows of the batch that ran last.</summary>
    /// <param name="rows">Its rows.</param>
    /// <param name="logits">[rows, VocabularySize] float32, overwritten.</param>
    public void RunHead(ReadOnlySpan<int> rows, NativeBuffer<float> logits) => _head.Run(_residual, rows, logits);

    public void Dispose()
    {
        _attention.Dispose();
        _experts.Dispose();
        _head.Dispose();
        _residual.Dispose();
    }

    private void Resize(int rows)
    {
        var length = (long)rows * _config.EmbeddingDim;
        if (length <= _residual.Length)
            return;
        _residual.Dispose();
        _residual = new NativeBuffer<float>(2 * length);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Embed(int row)
    {
        var source = _weights.EmbeddingRow(_batch.Tokens[row]);
        var target = Residual(row);
        for (var i = 0; i < target.Length; i++)
            target[i] = source[i] * _config.EmbeddingMultiplier;
    }

    private unsafe void Route(int row)
    {
        var scratch = ThreadScratch.Floats(_config.EmbeddingDim + _config.ExpertCount);
        var normed = new Span<float>(scratch, _config.EmbeddingDim);
        var logits = new Span<float>(scratch + _config.EmbeddingDim, _config.ExpertCount);
        RmsNorm.Apply(Residual(row), _weights.Plain(TensorRole.PreMoeNorm, _experts.Layer), _config.RmsNormEpsilon, normed);
        RouterLogits.Compute(normed, _weights.Plain(TensorRole.Router, _experts.Layer), logits);
        var k = _config.ExpertsPerToken;
        TopK.Choose(logits, _experts.Experts.Slice(row * k, k), _experts.Gates.Slice(row * k, k));
        _experts.Input.Set(row, normed);
    }

    private void AddToResidual(int row) => RmsNorm.AddTo(
        _experts.SumRow(row), _weights.Plain(TensorRole.PostMoeNorm, _experts.Layer), _config.RmsNormEpsilon, Residual(row));

    private Span<float> Residual(int row) => _residual.Slice((long)row * _config.EmbeddingDim, _config.EmbeddingDim);
}
