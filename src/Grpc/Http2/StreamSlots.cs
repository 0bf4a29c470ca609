namespace Grok1Cluster.Grpc.Http2;

/// <summary>The streams that the peer lets us have open at once, and the calls that wait for one. Thread-safe.</summary>
internal sealed class StreamSlots
{
    private readonly Lock _gate = new();
    private readonly LinkedList<TaskCompletionSource<bool>> _waiting = [];
    private int _used;
    private int _limit;
    private bool _closed;

    /// <summary>Takes a slot, in order of asking; false if there will be none any more.</summary>
    public async ValueTask<bool> TryTakeAsync(CancellationToken cancellationToken)
    {
        LinkedListNode<TaskCompletionSource<bool>> place;
        lock (_gate)
        {
            if (_closed)
                return false;
            if (_used < _limit)
            {
                _used++;
                return true;
            }
            place = _waiting.AddLast(new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously));
        }
        try
        {
            return await place.Value.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (_gate)
                if (place.List is not null)
                    _waiting.Remove(place);
                else if (place.Value.Task.Result)
                    GiveBack();
            throw;
        }
    }

    /// <summary>Gives a slot back.</summary>
    public void Release()
    {
        lock (_gate)
            GiveBack();
    }

    /// <summary>Changes how many there are.</summary>
    public void SetLimit(int limit)
    {
        lock (_gate)
        {
            _limit = limit;
            HandOut();
        }
    }

    /// <summary>There will be none any more.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (var waiting in _waiting)
                waiting.SetResult(false);
            _waiting.Clear();
        }
    }

    private void GiveBack()
    {
        _used--;
        HandOut();
    }

    private void HandOut()
    {
        while (_used < _limit && _waiting.First is { } first)
        {
            _waiting.RemoveFirst();
            _used++;
            first.Value.SetResult(true);
        }
    }
}
