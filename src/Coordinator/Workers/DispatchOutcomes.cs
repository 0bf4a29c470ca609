namespace Grok1Cluster.Coordinator.Workers;

/// <summary>What became of the calls to one worker, since the start. Thread-safe.</summary>
public sealed class DispatchOutcomes
{
    private long _ok, _lost, _wrong, _late, _overdue, _retried, _hedged, _compared, _differed;

    /// <summary>Calls with a sound answer that was used.</summary>
    public long Ok => Interlocked.Read(ref _ok);

    /// <summary>Calls without an answer because its connection broke.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Answers that were altered, not finite or of another length, and refusals that are the worker's own fault.</summary>
    public long Wrong => Interlocked.Read(ref _wrong);

    /// <summary>Calls that took longer than earlier ones let expect.</summary>
    public long Late => Interlocked.Read(ref _late);

    /// <summary>Calls that took so long that another worker was asked, however busy it was.</summary>
    public long Overdue => Interlocked.Read(ref _overdue);

    /// <summary>Calls for bundles of which an earlier call had failed.</summary>
    public long Retried => Interlocked.Read(ref _retried);

    /// <summary>Calls for bundles that another worker was late with.</summary>
    public long Hedged => Interlocked.Read(ref _hedged);

    /// <summary>Answers that were compared with another worker's.</summary>
    public long Compared => Interlocked.Read(ref _compared);

    /// <summary>Answers that were not the other worker's.</summary>
    public long Differed => Interlocked.Read(ref _differed);

    internal void CountOk() => Interlocked.Increment(ref _ok);

    internal void CountLost() => Interlocked.Increment(ref _lost);

    internal void CountWrong() => Interlocked.Increment(ref _wrong);

    internal void CountLate() => Interlocked.Increment(ref _late);

    internal void CountOverdue() => Interlocked.Increment(ref _overdue);

    internal void CountRetried() => Interlocked.Increment(ref _retried);

    internal void CountHedged() => Interlocked.Increment(ref _hedged);

    internal void CountCompared() => Interlocked.Increment(ref _compared);

    internal void CountDiffered() => Interlocked.Increment(ref _differed);
}
