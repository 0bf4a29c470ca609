using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>One micro-batch's round to the experts of a layer; timestamps as in <see cref="CallTiming"/>.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Slot">Which micro-batch; 0 where a step is not cut.</param>
/// <param name="Before">Ticks of attention and router before it, as far as the engine's thread did nothing else since.</param>
/// <param name="Started">The first call is written.</param>
/// <param name="Ended">The last sum is added.</param>
public readonly record struct RoundTiming(int Layer, int Slot, long Before, long Started, long Ended);

/// <summary>Everything that was measured in one step: rounds to the experts, and for each the call of every worker.</summary>
public sealed class StepRecord(int layers)
{
    private readonly RoundTiming[] _rounds = new RoundTiming[layers * ExpertBatch.MaxSlots];
    private readonly List<string> _workers = [];
    private readonly List<CallTiming[]> _calls = [];
    private int _count;

    /// <summary>The step as the engine measured it.</summary>
    public StepTimes Times { get; private set; }

    /// <summary>In the order in which they ended: layer by layer.</summary>
    public ReadOnlySpan<RoundTiming> Rounds => _rounds.AsSpan(0, _count);

    /// <summary>Workers that were called since the start, in the order of their first call.</summary>
    public IReadOnlyList<string> Workers => _workers;

    /// <summary>A worker's call of a round; one that was not made has no start.</summary>
    public ref readonly CallTiming Call(int worker, in RoundTiming round) => ref _calls[worker][Index(round.Layer, round.Slot)];

    /// <summary>A copy that does not change.</summary>
    public StepRecord Copy()
    {
        var copy = new StepRecord(layers) { Times = Times, _count = _count };
        Rounds.CopyTo(copy._rounds);
        copy._workers.AddRange(_workers);
        copy._calls.AddRange(_calls.Select(calls => calls.ToArray()));
        return copy;
    }

    internal void AddRound(int layer, int slot, long started, long ended)
    {
        if (_count < _rounds.Length)
            _rounds[_count++] = new RoundTiming(layer, slot, 0, started, ended);
    }

    internal void SetCall(int layer, int slot, string worker, in CallTiming call) => _calls[IndexOf(worker)][Index(layer, slot)] = call;

    /// <summary>The step is over: what came before each round is known now.</summary>
    internal void End(in StepTimes times)
    {
        Times = times;
        for (var round = 0; round < _count; round++)
            _rounds[round] = _rounds[round] with { Before = Math.Max(0, _rounds[round].Started - LastEvent(round)) };
    }

    internal void Clear()
    {
        _count = 0;
        foreach (var calls in _calls)
            Array.Clear(calls);
    }

    /// <summary>What the engine's thread is known to have done last before a round: a round that began or one that ended.</summary>
    private long LastEvent(int round)
    {
        var started = _rounds[round].Started;
        var last = Times.Started;
        for (var before = Math.Max(0, round - 2 * ExpertBatch.MaxSlots); before < round; before++)
        {
            if (_rounds[before].Started < started)
                last = Math.Max(last, _rounds[before].Started);
            if (_rounds[before].Ended < started)
                last = Math.Max(last, _rounds[before].Ended);
        }
        return last;
    }

    private static int Index(int layer, int slot) => layer * ExpertBatch.MaxSlots + slot;

    private int IndexOf(string worker)
    {
        for (var i = 0; i < _workers.Count; i++)
            if (_workers[i] == worker)
                return i;
        _workers.Add(worker);
        _calls.Add(new CallTiming[_rounds.Length]);
        return _workers.Count - 1;
    }
}
