using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>
/// Collects a step's measurements into one reused record and hands it to those who want it when the step is over. Called by
/// the engine's thread only; <see cref="Latest"/> by any.
/// </summary>
public sealed class StepRecorder(int layers, TimeProvider time) : IDispatchObserver
{
    /// <summary>A page shows a step for a moment: more copies than this would only be work.</summary>
    private static readonly TimeSpan DecodeInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>A step with prefill is only shown when no other comes.</summary>
    private static readonly TimeSpan PrefillInterval = TimeSpan.FromSeconds(3);

    private readonly StepRecord _current = new(layers);
    private StepRecord? _latest;
    private long _copied = time.GetTimestamp();

    /// <summary>Told of each finished step, on the engine's thread; the record is reused after it returns.</summary>
    public Action<StepRecord>? Ended { get; set; }

    /// <summary>A copy of a recent step, of decoding alone where there is one; null before the first.</summary>
    public StepRecord? Latest => Volatile.Read(ref _latest);

    public void Called(int layer, int slot, string worker, in CallTiming call) => _current.SetCall(layer, slot, worker, call);

    public void LayerEnded(int layer, int slot, int rows, long started, long ended) => _current.AddRound(layer, slot, started, ended);

    /// <summary>The engine has finished the step.</summary>
    public void StepEnded(in StepTimes step)
    {
        _current.End(step);
        Ended?.Invoke(_current);
        var decodes = step.Rows == step.Sequences;
        var isBetter = _latest is not { } latest || (decodes && latest.Times.Rows != latest.Times.Sequences);
        if (isBetter || time.GetElapsedTime(_copied) >= (decodes ? DecodeInterval : PrefillInterval))
        {
            Volatile.Write(ref _latest, _current.Copy());
            _copied = time.GetTimestamp();
        }
        _current.Clear();
    }
}
