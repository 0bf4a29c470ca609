using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Engine.Scheduling;

/// <summary>
/// Sees the life of every sequence: queued, started, each token, ended. All but <see cref="Queued"/> are called on the
/// engine's thread between two rows of work, so they must be quick, and they must not throw.
/// </summary>
public interface ISequenceObserver
{
    /// <summary>A request was accepted and waits.</summary>
    void Queued(SequenceLife sequence);

    /// <summary>It has KV memory and is in its first step; not told again after a preemption.</summary>
    void Started(SequenceLife sequence);

    /// <summary>It was given one more token; the first one when <see cref="SequenceLife.GeneratedTokens"/> is 1.</summary>
    void Token(SequenceLife sequence);

    /// <summary>It is over.</summary>
    /// <param name="sequence">What it came to.</param>
    /// <param name="reason">Why it ended; null when it failed or was cancelled.</param>
    /// <param name="error">What it failed with, an <see cref="OperationCanceledException"/> when it was cancelled; null when it finished.</param>
    void Ended(SequenceLife sequence, FinishReason? reason, Exception? error);
}

/// <summary>What an observer may know of a sequence. Times are those of <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>, 0 for what has not happened.</summary>
public sealed class SequenceLife
{
    /// <summary>The request's id, if it has one.</summary>
    public string? RequestId { get; internal init; }

    public int PromptTokens { get; internal init; }

    /// <summary>Prompt tokens that the prefix cache had.</summary>
    public int CachedTokens { get; internal set; }

    public int GeneratedTokens { get; internal set; }

    public long Submitted { get; internal init; }

    public long Started { get; internal set; }

    public long FirstToken { get; internal set; }

    public long LastToken { get; internal set; }
}
