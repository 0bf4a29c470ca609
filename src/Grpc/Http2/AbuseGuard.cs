namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// Counts frames that cost the peer little and us something (PING, SETTINGS, RST_STREAM, PRIORITY, empty DATA, frames on closed
/// streams) against a budget that refills with time. Used by the thread that reads.
/// </summary>
internal sealed class AbuseGuard
{
    /// <summary>Frames that may come at once.</summary>
    public const int Burst = 10_000;

    private const int PerSecond = 1_000;

    private double _left = Burst;
    private long _last = Environment.TickCount64;

    /// <summary>Counts one frame.</summary>
    /// <exception cref="Http2Exception">The peer has sent too many.</exception>
    public void Charge(string what)
    {
        var now = Environment.TickCount64;
        _left = Math.Min(Burst, _left + (now - _last) * (PerSecond / 1000.0)) - 1;
        _last = now;
        if (_left < 0)
            throw new Http2Exception(ErrorCode.EnhanceYourCalm, $"too many frames that carry nothing, the last one: {what}");
    }
}
