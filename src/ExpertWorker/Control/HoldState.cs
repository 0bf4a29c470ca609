namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>How far a hold is. One thread writes, any reads.</summary>
internal sealed class HoldState
{
    private long _done, _total, _fetched;

    /// <summary>Bytes in memory.</summary>
    public long Done => Interlocked.Read(ref _done);

    /// <summary>Bytes in all.</summary>
    public long Total
    {
        get => Interlocked.Read(ref _total);
        set => Interlocked.Exchange(ref _total, value);
    }

    /// <summary>Bytes that came from a source.</summary>
    public long Fetched => Interlocked.Read(ref _fetched);

    public void AddDone(long bytes) => Interlocked.Add(ref _done, bytes);

    public void AddFetched(long bytes) => Interlocked.Add(ref _fetched, bytes);
}
