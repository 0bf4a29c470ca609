using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>A layer's round to the experts; timestamps as in <see cref="CallTiming"/>.</summary>
public readonly record struct LayerTiming(long Started, long Ended);

/// <summary>Everything that was measured in one step: layers, and for each layer the call of every worker.</summary>
public sealed class StepRecord
{
    private readonly LayerTiming[] _layers;
    private readonly List<string> _workers = [];
    private readonly List<CallTiming[]> _calls = [];

    public StepRecord(int layers) => _layers = new LayerTiming[layers];

    /// <summary>The step as the engine measured it.</summary>
    public StepTimes Times { get; private set; }

    public ReadOnlySpan<LayerTiming> Layers => _layers;

    /// <summary>Workers that were called since the start, in the order of their first call.</summary>
    public IReadOnlyList<string> Workers => _workers;

    /// <summary>A worker's calls by layer; one that was not made has no start.</summary>
    public ReadOnlySpan<CallTiming> Calls(int worker) => _calls[worker];

    /// <summary>Time before a layer's round to the experts: attention and router.</summary>
    public long AttentionTicks(int layer) => _layers[layer].Started - (layer == 0 ? Times.Started : _layers[layer - 1].Ended);

    /// <summary>A copy that does not change.</summary>
    public StepRecord Copy()
    {
        var copy = new StepRecord(_layers.Length) { Times = Times };
        _layers.CopyTo(copy._layers, 0);
        copy._workers.AddRange(_workers);
        copy._calls.AddRange(_calls.Select(calls => calls.ToArray()));
        return copy;
    }

    internal void SetLayer(int layer, LayerTiming timing) => _layers[layer] = timing;

    internal void SetCall(int layer, string worker, in CallTiming call) => _calls[IndexOf(worker)][layer] = call;

    internal void End(in StepTimes times) => Times = times;

    internal void Clear()
    {
        Array.Clear(_layers);
        foreach (var calls in _calls)
            Array.Clear(calls);
    }

    private int IndexOf(string worker)
    {
        for (var i = 0; i < _workers.Count; i++)
            if (_workers[i] == worker)
                return i;
        _workers.Add(worker);
        _calls.Add(new CallTiming[_layers.Length]);
        return _workers.Count - 1;
    }
}
