namespace Grok1Cluster.Kernels.Threading;

/// <summary>
/// Lets one thread sleep until another wakes it. A wake that comes first is remembered (one, not several), so the order
/// "look for work, find none, park" loses no wake; a thread that parks in a loop may come back once for nothing.
/// </summary>
internal sealed class Parker
{
    private const int Awake = 0;
    private const int Parked = 1;
    private const int Woken = 2;

    private readonly object _gate = new();
    private int _state;

    /// <summary>Sleeps until <see cref="Wake"/>; returns at once if that was called since the last return.</summary>
    public void Park()
    {
        if (Interlocked.CompareExchange(ref _state, Parked, Awake) == Awake)
            lock (_gate)
                while (Volatile.Read(ref _state) == Parked)
                    Monitor.Wait(_gate);
        Interlocked.Exchange(ref _state, Awake);
    }

    /// <summary>Wakes the thread; cheap when it is not asleep.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref _state, Woken) == Parked)
            lock (_gate)
                Monitor.Pulse(_gate);
    }
}
