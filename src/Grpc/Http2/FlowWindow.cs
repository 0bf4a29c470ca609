namespace Grok1Cluster.Grpc.Http2;

/// <summary>Bytes that may still be sent on a stream or a connection. Negative after the peer has made its windows smaller.</summary>
internal struct FlowWindow(int initial)
{
    private int _available = initial;

    /// <summary>Bytes that may be sent now; at most 0 means none.</summary>
    public readonly int Available => _available;

    /// <summary>Takes bytes that are being sent.</summary>
    public void Take(int bytes) => _available -= bytes;

    /// <summary>Adds what the peer grants (or, by a change of its settings, takes back); false if the window would exceed 2^31 - 1.</summary>
    public bool TryAdd(long bytes)
    {
        var sum = _available + bytes;
        if (sum > int.MaxValue)
            return false;
        _available = (int)sum;
        return true;
    }
}

/// <summary>Bytes that the peer may still send to us. Thread-safe: one thread receives while others give room back.</summary>
/// <param name="size">The whole window.</param>
internal sealed class ReceiveWindow(int size)
{
    private readonly Lock _gate = new();
    private readonly int _threshold = size / 2;
    private int _available = size;
    private int _returned;

    /// <summary>Takes bytes that have come; false if the peer was not allowed to send them.</summary>
    public bool TryTake(int bytes)
    {
        lock (_gate)
        {
            if (bytes > _available)
                return false;
            _available -= bytes;
            return true;
        }
    }

    /// <summary>Gives room back. The result is what to grant to the peer: 0 until half the window has gathered, so that few frames are spent on it.</summary>
    public int Return(int bytes)
    {
        lock (_gate)
        {
            _returned += bytes;
            if (_returned < _threshold)
                return 0;
            var grant = _returned;
            _available += grant;
            _returned = 0;
            return grant;
        }
    }
}
