using System.Diagnostics;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>
/// Told what happens to sequences and steps, on the engine's thread: it must be quick and must not throw. Timestamps are
/// those of <see cref="Stopwatch.GetTimestamp"/>.
/// </summary>
public interface IEngineObserver
{
    /// <summary>A sequence got a token; <see cref="SequenceTimes.LastToken"/> is still that of the token before.</summary>
    void TokenGenerated(SequenceTimes sequence, long now);

    /// <summary>A sequence is over, however it ended.</summary>
    void SequenceEnded(SequenceTimes sequence, SequenceOutcome outcome);

    /// <summary>A step is over; a step that failed is not told.</summary>
    void StepEnded(in StepTimes step);
}

/// <summary>How a sequence ended.</summary>
public enum SequenceOutcome
{
    /// <summary>At the end-of-sequence token, or at a stop string.</summary>
    Stop,

    /// <summary>At its limit.</summary>
    Length,

    /// <summary>Its client left, or the engine stopped.</summary>
    Cancelled,

    /// <summary>A step failed.</summary>
    Failed,
}

/// <summary>What the engine measured of one sequence. A timestamp is 0 until what it marks has happened.</summary>
public sealed class SequenceTimes
{
    public long Submitted { get; } = Stopwatch.GetTimestamp();

    /// <summary>When it left the queue for the first time.</summary>
    public long Admitted { get; internal set; }

    public long FirstToken { get; internal set; }

    public long LastToken { get; internal set; }

    public long Ended { get; internal set; }

    public int PromptTokens { get; init; }

    /// <summary>Most tokens that were asked for.</summary>
    public int MaxTokens { get; init; }

    /// <summary>Prompt tokens that the prefix cache had.</summary>
    public int CachedTokens { get; internal set; }

    public int GeneratedTokens { get; internal set; }

    /// <summary>The trace that its request belongs to; default without one.</summary>
    public ActivityContext Trace { get; } = Activity.Current?.Context ?? default;

    /// <summary>Whether its trace is recorded.</summary>
    public bool IsTraced => (Trace.TraceFlags & ActivityTraceFlags.Recorded) != 0;

    /// <summary>Steps that were recorded in its trace; kept by the observer.</summary>
    public int TracedSteps { get; set; }
}

/// <summary>A finished step.</summary>
/// <param name="Started">Timestamp.</param>
/// <param name="Ended">Timestamp.</param>
/// <param name="Rows">Rows computed.</param>
/// <param name="Sequences">Sequences that had rows in it.</param>
/// <param name="Traced">The first of them whose trace is recorded, or null.</param>
public readonly record struct StepTimes(long Started, long Ended, int Rows, int Sequences, SequenceTimes? Traced);
