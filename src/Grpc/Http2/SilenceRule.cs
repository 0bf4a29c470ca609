namespace Grok1Cluster.Grpc.Http2;

/// <summary>What a peer's silence calls for.</summary>
internal enum Silence
{
    None,

    /// <summary>Ask whether it lives.</summary>
    ToAsk,

    /// <summary>It was asked and did not answer.</summary>
    Dead,
}

/// <summary>
/// When a silent peer is asked and when it is given up. Looked at by a ticker; if that comes late, this process was held up
/// itself and could not have read an answer, so the answer's time is longer by the gap. Times are in milliseconds.
/// </summary>
/// <param name="delay">Silence before the peer is asked.</param>
/// <param name="timeout">How long its answer may take.</param>
/// <param name="period">Of the ticker.</param>
/// <param name="start">Now.</param>
internal sealed class SilenceRule(TimeSpan delay, TimeSpan timeout, TimeSpan period, long start)
{
    private long _looked = start;
    private double? _asked;

    /// <param name="now">The time.</param>
    /// <param name="lastReceived">When bytes came last; any of them show that the peer lives.</param>
    /// <param name="mayAsk">Whether its silence matters.</param>
    public Silence Look(long now, long lastReceived, bool mayAsk)
    {
        var gap = now - _looked - period.TotalMilliseconds;
        _looked = now;
        if (_asked <= lastReceived)
            _asked = null;
        if (_asked is null)
        {
            if (now - lastReceived < delay.TotalMilliseconds || !mayAsk)
                return Silence.None;
            _asked = now;
            return Silence.ToAsk;
        }
        if (gap > 0)
            _asked += gap;
        return now - _asked >= timeout.TotalMilliseconds ? Silence.Dead : Silence.None;
    }
}
