using System.Diagnostics;
using System.Runtime.CompilerServices;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Engine.Forward;

/// <summary>
/// One step of the model over a batch of rows (xAI's <c>Transformer</c>): embedding, then per layer attention, router,
/// experts, then the head for the rows that want logits. Experts are behind one seam, all else behind the other. The rows may go in
/// several micro-batches that take turns: while the experts of one are away, the coordinator computes the next. A row's
/// result does not depend on it. Not for concurrent use.
/// </summary>
public sealed class ForwardPass : IDisposable
{
    private readonly Grok1Config _config;
    private readonly IDenseLayers _layers;
    private readonly IExpertDispatcher _dispatcher;
    private readonly MicroBatch[] _parts;
    private ResidualRow[] _rows = [];
    private MicroBatch _current;
    private int _layer;
    private int _partCount;

    /// <param name="store">The model.</param>
    /// <param name="layers">The coordinator's part of it; disposed with this object.</param>
    /// <param name="dispatcher">The way to the experts; not disposed.</param>
    /// <param name="precision">fast or exact.</param>
    public ForwardPass(ModelStore store, IDenseLayers layers, IExpertDispatcher dispatcher, Precision precision)
    {
        (_config, _layers, _dispatcher) = (store.Config, layers, dispatcher);
        var format = PanelProduct.ActivationsFor(store.ExpertLayout.Format, precision == Precision.Exact);
        _parts = [.. Enumerable.Range(0, ExpertBatch.MaxSlots).Select(slot =>
            new MicroBatch(layers.CreateStream(), new ExpertBatch(_config, new Activations(store.ExpertLayout.InputAxis, format), slot)))];
        _current = _parts[0];
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
        if (_rows.Length < rows.Length)
            _rows = new ResidualRow[2 * rows.Length];
        var part = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            while (part + 1 < _partCount && _parts[part + 1].FirstRow <= rows[i])
                part++;
            _rows[i] = new ResidualRow(_parts[part].Residual, rows[i] - _parts[part].FirstRow);
        }
        _layers.Logits(_rows.AsSpan(0, rows.Length), logits);
    }

    public void Dispose()
    {
        foreach (var part in _parts)
            part.Dispose();
        _layers.Dispose();
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
                    _current.Residual.Begin(_current.Tokens);
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
        experts.Begin(_layer, tokens.Rows, isDecode);
        _current.Residual.Forward(_layer, experts.Input, experts.Experts, experts.Gates);
        Routed?.Invoke(_layer, experts.ExpertsMemory);
        Depth?.Computed(tokens.Rows, Stopwatch.GetElapsedTime(start));
        _dispatcher.Dispatch(experts, cancel);
    }

    /// <summary>Waits for the experts of the current micro-batch.</summary>
    private unsafe void Combine(CancellationToken cancel)
    {
        _dispatcher.Combine(_current.Experts, cancel);
        _current.Residual.AddExperts(_current.Experts.Sum);
    }
}
