namespace Grok1Cluster.Grpc.Wire;

/// <summary>The moment at which a call is given up, and the timer that watches for it.</summary>
internal sealed class CallDeadline : IDisposable
{
    /// <summary>Timers take at most 2^32 - 2 ms; what lies further away than this needs none.</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(24);

    private readonly TimeProvider _time;
    private readonly Action _expired;
    private readonly TimeSpan _timeout;
    private readonly long _start;
    private readonly ITimer? _timer;
    private bool _fired;

    /// <param name="timeout">Time left from now.</param>
    /// <param name="time">The clock.</param>
    /// <param name="expired">Called once, on a timer's thread, when the time is over, unless disposed before.</param>
    public CallDeadline(TimeSpan timeout, TimeProvider time, Action expired)
    {
        (_time, _expired, _timeout, _start) = (time, expired, timeout, time.GetTimestamp());
        var now = time.GetUtcNow();
        At = timeout < DateTimeOffset.MaxValue - now ? now + timeout : DateTimeOffset.MaxValue;
        if (timeout < LongestTimer)
            _timer = time.CreateTimer(static state => ((CallDeadline)state!).Expire(), this, timeout > TimeSpan.Zero ? timeout : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    /// <summary>When the call is given up, for who reads dates: a clock that is set does not change how long a call may take.</summary>
    public DateTimeOffset At { get; }

    /// <summary>Whether that moment is over. The timer may be a little ahead of the clock, and what it has ended is over as well.</summary>
    public bool HasPassed => Volatile.Read(ref _fired) || _time.GetElapsedTime(_start) >= _timeout;

    /// <summary>Whether it was told that the moment is over.</summary>
    public bool HasFired => Volatile.Read(ref _fired);

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();

    private void Expire()
    {
        Volatile.Write(ref _fired, true);
        _expired();
    }
}
