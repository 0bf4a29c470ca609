namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>What is measured of a call while it is under way; reused for the next. Timestamps as in <see cref="CallTiming"/>.</summary>
public sealed class CallTimes
{
    public long Started { get; set; }

    public long Sent { get; set; }

    public long Received { get; set; }

    public int SentBytes { get; set; }
}
