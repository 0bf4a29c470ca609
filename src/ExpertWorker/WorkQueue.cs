namespace Grok1Cluster.ExpertWorker;

/// <summary>Calls that wait for the compute thread: decode before bulk, and within each the streams in turn.</summary>
internal sealed class WorkQueue
{
    private readonly object _gate = new();
    private readonly Queue<CallStream> _decode = [];
    private readonly Queue<CallStream> _bulk = [];
    private bool _ended;

    /// <summary>Calls that wait.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _decode.Sum(stream => stream.Decode.Count) + _bulk.Sum(stream => stream.Bulk.Count);
        }
    }

    public void Add(ExpertRequest request)
    {
        lock (_gate)
        {
            var decode = request.Frame.Priority == Protos.Expert.V1.Priority.Decode;
            var calls = decode ? request.Stream.Decode : request.Stream.Bulk;
            calls.Enqueue(request);
            // A stream is in the queue once, however many calls it has.
            if (calls.Count == 1)
                (decode ? _decode : _bulk).Enqueue(request.Stream);
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Waits for a call; null when the worker ends.</summary>
    public ExpertRequest? Take()
    {
        lock (_gate)
        {
            while (!_ended)
            {
                if (TakeUrgentCore() is { } urgent)
                    return urgent;
                if (_bulk.TryDequeue(out var stream))
                    return TakeFrom(stream, stream.Bulk, _bulk);
                Monitor.Wait(_gate);
            }
            return null;
        }
    }

    /// <summary>A call that may interrupt bulk work, if there is one.</summary>
    public ExpertRequest? TakeUrgent()
    {
        lock (_gate)
            return TakeUrgentCore();
    }

    /// <summary>The compute thread is to end.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }
    }

    private ExpertRequest? TakeUrgentCore() => _decode.TryDequeue(out var stream) ? TakeFrom(stream, stream.Decode, _decode) : null;

    private static ExpertRequest TakeFrom(CallStream stream, Queue<ExpertRequest> calls, Queue<CallStream> turns)
    {
        var request = calls.Dequeue();
        if (calls.Count > 0)
            turns.Enqueue(stream);
        return request;
    }
}
