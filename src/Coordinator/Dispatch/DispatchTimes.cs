using System.Diagnostics;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>Measures how long each layer waits for its experts, from the first byte sent to the last sum added.</summary>
public sealed class DispatchTimes(IExpertDispatcher inner) : IExpertDispatcher
{
    private readonly List<double> _microseconds = [];
    private readonly long[] _starts = new long[ExpertBatch.MaxSlots];

    /// <summary>Forgets what was measured.</summary>
    public void Clear()
    {
        lock (_microseconds)
            _microseconds.Clear();
    }

    /// <summary>A quantile of what was measured, in microseconds; null when nothing was.</summary>
    /// <param name="share">0.5 for the median.</param>
    public double? Quantile(double share)
    {
        lock (_microseconds)
            return _microseconds.Count == 0 ? null : _microseconds.Order().ElementAt((int)(share * (_microseconds.Count - 1)));
    }

    public void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        _starts[batch.Slot] = Stopwatch.GetTimestamp();
        inner.Dispatch(batch, cancel);
    }

    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
        inner.Combine(batch, cancel);
        lock (_microseconds)
            _microseconds.Add(Stopwatch.GetElapsedTime(_starts[batch.Slot]).TotalMicroseconds);
    }

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
