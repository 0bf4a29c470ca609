namespace Grok1Cluster.Coordinator.Hosting;

/// <summary>How much of the weights is in memory, in all processes that this one waits for, and who is not there yet. Thread-safe.</summary>
public sealed class LoadProgress
{
    private long _expected;
    private long _loaded;
    private string? _waiting;

    /// <summary>From 0 to 1; 0 until it is known how much there is.</summary>
    public double Share => Interlocked.Read(ref _expected) is > 0 and var expected ? Math.Min(1, (double)Interlocked.Read(ref _loaded) / expected) : 0;

    /// <summary>Who is waited for, where it is not the weights; null: nobody.</summary>
    public string? Waiting
    {
        get => Volatile.Read(ref _waiting);
        set => Volatile.Write(ref _waiting, value);
    }

    /// <summary>More bytes will be loaded.</summary>
    public void Expect(long bytes) => Interlocked.Add(ref _expected, bytes);

    /// <summary>Bytes of what is expected are loaded.</summary>
    public void Add(long bytes) => Interlocked.Add(ref _loaded, bytes);
}
