using System.Diagnostics;
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
/// experts, then the head for the rows that want logits. Attention, experts and head are behind their seams. The rows may go in
/// several micro-batches that take turns: while the experts of one are away, the coordinator computes the next. A row's
/// result does not depend on it. Not for concurrent use.
/// </summary>
public sealed class ForwardPass : IDisposable
{
    private readonly Grok1Config _config;
    private readonly DenseWeights _weights;
    private readonly ComputePool _pool;
    private readonly ILayerAttention _attention;
    private readonly IExpertDispatcher _dispatcher;
    private readonly MicroBatch[] _parts;
    private readonly ILogitHead _head;
    private readonly DelegateJob _embedJob;
    private readonly DelegateJob _routeJob;
    private readonly DelegateJob _addJob;
    private NativeBuffer<float> _gathered = new(0);
    private int[] _gatheredRows = [];
    private MicroBatch _current;
    private int _layer;
    private int _partCount;

    /// <param name="store">The model.</param>
    /// <param name="weights">Its dense tensors.</param>
    /// <param name="pool">Where the coordinator's share of the work runs.</param>
    /// <param name="attention">The attention of every layer; disposed with this object.</param>
    /// <param name="head">From the last layer to logits; disposed with this object.</param>
    /// <param name="dispatcher">The way to the experts; not disposed.</param>
    /// <param name="precision">fast or exact.</param>
    public ForwardPass(ModelStore store, DenseWeights weights, ComputePool pool, ILayerAttention attention, ILogitHead head, IExpertDispatcher dispatcher, Precision precision)
    {
        (_config, _weights, _pool, _attention, _head, _dispatcher) = (store.Config, weights, pool, attention, head, dispatcher);
        var format = PanelProduct.ActivationsFor(store.ExpertLayout.Format, precision == Precision.Exact);
        _parts = [.. Enumerable.Range(0, ExpertBatch.MaxSlots).Select(slot => new MicroBatch(_config, new ExpertBatch(_config, new Activations(store.ExpertLayout.InputAxis, format), slot)))];
        _current = _parts[0];
        _embedJob = new DelegateJob(Embed);
        _routeJob = new DelegateJob(Route);
        _addJob = new DelegateJob(AddToResidual);
    }

    /// <summary>Told about every layer's routing, on the caller's thread: (layer, [rows, k] experts best first) of one micro-batch.</summary>
    public Action<int, ReadOnlyMemory<int>>? Routed { get; set; }

    /// <summary>Chooses the number of micro-batches of each step; null: one.</summary>
    public IPipelineDepth? Depth { get; set; }

    /// <summary>Runs a batch and computes logits for some of its rows.</summary>
    /// <param name="batch">Rows with their KV blocks; keys and values are stored there.</param>
    /// <param name="logitRows">Rows that want logits, ascending.</param>
    /// <param name="logits">[logitRows, VocabularySize] float32, overwritten.</param>
    /// <param name="cancel">Looked at once a layer.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(TokenBatch batch, ReadOnlySpan<int> logitRows, NativeBuffer<float> logits, CancellationToken cancel)
    {
        var parts = _partCount = Split(batch);
        try
        {
            RunLayers(parts, batch.IsDecode, cancel);
        }
        catch
        {
            _dispatcher.Abandon();
            throw;
        }
        if (logitRows.Length > 0)
            RunHead(logitRows, logits);
    }

    /// <summary>Computes logits for rows of the batch that ran last, for which it did not.</summary>
    /// <param name="rows">Its rows, ascending.</param>
    /// <param name="logits">[rows, VocabularySize] float32, overwritten.</param>
    public void RunHead(ReadOnlySpan<int> rows, NativeBuffer<float> logits)
    {
        if (_partCount == 1)
        {
            _head.Run(_parts[0].Residual, rows, logits);
            return;
        }
        // First, because it may make room.
        var gathered = Gather(rows, _partCount);
        _head.Run(_gathered, gathered, logits);
    }

    public void Dispose()
    {
        _attention.Dispose();
        foreach (var part in _parts)
            part.Dispose();
        _head.Dispose();
        _gathered.Dispose();
    }

    /// <summary>Deals the rows to micro-batches as evenly as possible.</summary>
    private int Split(TokenBatch batch)
    {
        var parts = Math.Clamp(Depth?.For(batch.Rows) ?? 1, 1, Math.Min(_parts.Length, batch.Rows));
        if (parts == 1)
            _parts[0].Take(batch);
        else
            for (var part = 0; part < parts; part++)
                _parts[part].Take(batch, batch.Rows * part / parts, batch.Rows * (part + 1) / parts);
        return parts;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunLayers(int parts, bool isDecode, CancellationToken cancel)
    {
        for (_layer = 0; _layer < _config.LayerCount; _layer++)
            for (var part = 0; part < parts; part++)
            {
                cancel.ThrowIfCancellationRequested();
                _current = _parts[part];
                if (_layer > 0)
                    Combine(cancel);
                else
                    _pool.Run(_embedJob, _current.Tokens.Rows);
                Dispatch(isDecode, cancel);
            }
        for (var part = 0; part < parts; part++)
        {
            _current = _parts[part];
            Combine(cancel);
        }
    }

    /// <summary>Attention and router of the current micro-batch, which then leaves for its experts.</summary>
    private void Dispatch(bool isDecode, CancellationToken cancel)
    {
        var start = Stopwatch.GetTimestamp();
        var (tokens, experts) = (_current.Tokens, _current.Experts);
        _attention.Forward(_layer, tokens, _current.Residual);
        experts.Begin(_layer, tokens.Rows, isDecode);
        _pool.Run(_routeJob, tokens.Rows);
        Routed?.Invoke(_layer, experts.ExpertsMemory);
        Depth?.Computed(tokens.Rows, Stopwatch.GetElapsedTime(start));
        _dispatcher.Dispatch(experts, cancel);
    }

    /// <summary>Waits for the experts of the current micro-batch.</summary>
    private void Combine(CancellationToken cancel)
    {
        _dispatcher.Combine(_current.Experts, cancel);
        _pool.Run(_addJob, _current.Tokens.Rows);
    }

    /// <summary>The residual rows that want logits, side by side.</summary>
    private ReadOnlySpan<int> Gather(ReadOnlySpan<int> logitRows, int parts)
    {
        if (_gatheredRows.Length < logitRows.Length)
        {
            _gatheredRows = [.. Enumerable.Range(0, 2 * logitRows.Length)];
            _gathered.Dispose();
            _gathered = new NativeBuffer<float>((long)_gatheredRows.Length * _config.EmbeddingDim);
        }
        var part = 0;
        for (var i = 0; i < logitRows.Length; i++)
        {
            while (part + 1 < parts && _parts[part + 1].FirstRow <= logitRows[i])
                part++;
            _parts[part].ResidualRow(logitRows[i] - _parts[part].FirstRow).CopyTo(_gathered.Slice((long)i * _config.EmbeddingDim, _config.EmbeddingDim));
        }
        return _gatheredRows.AsSpan(0, logitRows.Length);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Embed(int row)
    {
        var source = _weights.EmbeddingRow(_current.Tokens.Tokens[row]);
        var target = _current.ResidualRow(row);
        for (var i = 0; i < target.Length; i++)
            target[i] = source[i] * _config.EmbeddingMultiplier;
    }

    private unsafe void Route(int row)
    {
        var scratch = ThreadScratch.Floats(_config.EmbeddingDim + _config.ExpertCount);
        var normed = new Span<float>(scratch, _config.EmbeddingDim);
        var logits = new Span<float>(scratch + _config.EmbeddingDim, _config.ExpertCount);
        var experts = _current.Experts;
        RmsNorm.Apply(_current.ResidualRow(row), _weights.Plain(TensorRole.PreMoeNorm, _layer), _config.RmsNormEpsilon, normed);
        RouterLogits.Compute(normed, _weights.Plain(TensorRole.Router, _layer), logits);
        var k = _config.ExpertsPerToken;
        TopK.Choose(logits, experts.Experts.Slice(row * k, k), experts.Gates.Slice(row * k, k));
        experts.Input.Set(row, normed);
    }

    /// <summary>By the micro-batch's own layer: another may be ahead.</summary>
    private void AddToResidual(int row) => RmsNorm.AddTo(
        _current.Experts.SumRow(row), _weights.Plain(TensorRole.PostMoeNorm, _current.Experts.Layer), _config.RmsNormEpsilon, _current.ResidualRow(row));
}
