using System.Diagnostics;
using Grok1Cluster.Engine.Dispatch;

namespace Grok1Cluster.Coordinator.Dispatch;

/// <summary>Measures how long each layer waits for its experts, from the first byte sent to the last sum added; keeps the latest.</summary>
public sealed class DispatchTimes(IExpertDispatcher inner) : IExpertDispatcher
{
    private const int Kept = 1 << 16;

    private readonly Queue<double> _microseconds = new(Kept);
    private readonly long[] _starts = new long[ExpertBatch.MaxSlots];

    /// <summary>Told of every layer as well.</summary>
    public IDispatchObserver? Observer { get; set; }

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
        var end = Stopwatch.GetTimestamp();
        lock (_microseconds)
        {
            if (_microseconds.Count == Kept)
                _microseconds.Dequeue();
            _microseconds.Enqueue(Stopwatch.GetElapsedTime(_starts[batch.Slot], end).TotalMicroseconds);
        }
        Observer?.LayerEnded(batch.Layer, batch.Slot, batch.Rows, _starts[batch.Slot], end);
    }

    public void Abandon() => inner.Abandon();

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
