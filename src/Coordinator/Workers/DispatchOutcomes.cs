namespace Grok1Cluster.Coordinator.Workers;

/// <summary>Calls to one worker that did not go the plain way, since the start. Thread-safe.</summary>
public sealed class DispatchOutcomes
{
    private long _lost, _late, _retried, _hedged;

    /// <summary>Calls without an answer because its connection broke.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <summary>Calls that took longer than earlier ones let expect.</summary>
    public long Late => Interlocked.Read(ref _late);

    /// <summary>Calls for bundles of which an earlier call had failed.</summary>
    public long Retried => Interlocked.Read(ref _retried);

    /// <summary>Calls for bundles that another worker was late with.</summary>
    public long Hedged => Interlocked.Read(ref _hedged);

    internal void CountLost() => Interlocked.Increment(ref _lost);

    internal void CountLate() => Interlocked.Increment(ref _late);

    internal void CountRetried() => Interlocked.Increment(ref _retried);

    internal void CountHedged() => Interlocked.Increment(ref _hedged);
}
