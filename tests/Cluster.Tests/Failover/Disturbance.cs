using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>
/// Does something in the middle of a generation, on the engine's thread: however late the reader of the tokens is, the tokens
/// after it are not computed yet.
/// </summary>
internal sealed class Disturbance : IEngineObserver
{
    private int _after;
    private Action? _action;

    /// <summary>Calls something once, as soon as a sequence has so many tokens.</summary>
    public void Set(int tokens, Action action) => (_after, _action) = (tokens, action);

    public void TokenGenerated(SequenceTimes sequence, long now)
    {
        // The token that this tells of is not counted yet.
        if (_action is { } action && sequence.GeneratedTokens + 1 == _after)
        {
            _action = null;
            action();
        }
    }

    public void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome)
    {
    }

    public void StepEnded(in StepTimes step)
    {
    }
}
