namespace Grok1Cluster.Grpc.Http2;

/// <summary>Asks a silent peer whether it lives, and gives it up when it does not answer.</summary>
internal sealed class KeepAlive : IDisposable
{
    /// <summary>How often the clock is looked at in the shorter of the two times.</summary>
    private const int LooksPerLimit = 4;

    private static readonly TimeSpan LongestPeriod = TimeSpan.FromMinutes(1);

    private readonly Http2Limits _limits;
    private readonly FrameReader _reader;
    private readonly SilenceRule _rule;
    private readonly Func<bool> _hasStreams;
    private readonly Action _ping;
    private readonly Action _dead;
    private readonly Timer? _timer;

    /// <param name="limits">How long to wait.</param>
    /// <param name="reader">Knows when bytes came last; any of them shows that the peer lives.</param>
    /// <param name="hasStreams">Whether streams are open.</param>
    /// <param name="ping">Asks.</param>
    /// <param name="dead">Called when the answer fails to come.</param>
    public KeepAlive(Http2Limits limits, FrameReader reader, Func<bool> hasStreams, Action ping, Action dead)
    {
        (_limits, _reader, _hasStreams, _ping, _dead) = (limits, reader, hasStreams, ping, dead);
        var period = TimeSpan.FromTicks(Math.Min(Math.Min(limits.PingDelay.Ticks, limits.PingTimeout.Ticks) / LooksPerLimit, LongestPeriod.Ticks));
        _rule = new SilenceRule(limits.PingDelay, limits.PingTimeout, period, Environment.TickCount64);
        if (limits.PingDelay == Timeout.InfiniteTimeSpan)
            return;
        // Begun when it is here: a thread that is held up in between would find none.
        _timer = new Timer(static state => ((KeepAlive)state!).Look(), this, Timeout.InfiniteTimeSpan, period);
        _timer.Change(period, period);
    }

    public void Dispose() => _timer?.Dispose();

    private void Look()
    {
        lock (_timer!)
        {
            switch (_rule.Look(Environment.TickCount64, _reader.LastReceived, !_limits.PingOnlyWithStreams || _hasStreams()))
            {
                case Silence.ToAsk: _ping(); break;
                case Silence.Dead: _dead(); break;
            }
        }
    }
}
