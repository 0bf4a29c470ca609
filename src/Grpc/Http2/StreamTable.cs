namespace Grok1Cluster.Grpc.Http2;

/// <summary>The streams of a connection that are open at either end. Thread-safe.</summary>
/// <param name="isServer">Whether the peer opens the streams, or we do.</param>
internal sealed class StreamTable(bool isServer)
{
    /// <summary>Streams that we have reset and still remember: for a while the peer may send on them in good faith.</summary>
    private const int Remembered = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<int, Http2Stream> _open = [];
    private readonly HashSet<int> _reset = [];
    private readonly Queue<int> _resetOrder = new();
    private int _last = isServer ? 0 : -1;
    private int _peerWindow = PeerSettings.DefaultWindow;
    private bool _closed;

    /// <summary>The highest number used so far; at most 0 if none was.</summary>
    public int Last
    {
        get
        {
            lock (_gate)
                return _last;
        }
    }

    /// <summary>Streams open.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _open.Count;
        }
    }

    /// <summary>The open streams.</summary>
    public Http2Stream[] All
    {
        get
        {
            lock (_gate)
                return [.. _open.Values];
        }
    }

    /// <summary>The open stream of this number.</summary>
    public Http2Stream? Find(int id)
    {
        lock (_gate)
            return _open.GetValueOrDefault(id);
    }

    /// <summary>Whether we have reset the stream a short while ago.</summary>
    public bool WasReset(int id)
    {
        lock (_gate)
            return _reset.Contains(id);
    }

    /// <summary>Notes a number that the peer has used.</summary>
    public void Use(int id)
    {
        lock (_gate)
            _last = id;
    }

    /// <summary>Adds a stream whose head is about to be sent; one of ours gets its number. False if no stream may be opened any more.</summary>
    public bool TryOpen(Http2Stream stream)
    {
        lock (_gate)
        {
            if (stream.Id != 0)
                return true;
            if (_closed || _last >= int.MaxValue - 2)
                return false;
            stream.Id = _last += 2;
            AddCore(stream);
            return true;
        }
    }

    /// <summary>Adds a stream that the peer has opened.</summary>
    public void Add(Http2Stream stream)
    {
        lock (_gate)
            AddCore(stream);
    }

    /// <summary>From now on new streams have this window at the peer. Returns those that are open, whose windows change by <paramref name="change"/>.</summary>
    public Http2Stream[] ChangeWindow(int window, out long change)
    {
        lock (_gate)
        {
            change = (long)window - _peerWindow;
            _peerWindow = window;
            return change == 0 ? [] : [.. _open.Values];
        }
    }

    /// <summary>We have sent the end of our side. True if the peer, a client, has not and should stop: then the stream is over.</summary>
    public bool EndLocal(Http2Stream stream)
    {
        lock (_gate)
        {
            stream.LocalEnded = true;
            if (!stream.RemoteEnded)
                return isServer && ForgetCore(stream);
            _open.Remove(stream.Id);
            return false;
        }
    }

    /// <summary>The peer has sent the end of its side.</summary>
    public void EndRemote(Http2Stream stream)
    {
        lock (_gate)
        {
            stream.RemoteEnded = true;
            if (stream.LocalEnded)
                _open.Remove(stream.Id);
        }
    }

    /// <summary>Takes out a stream that the peer has reset.</summary>
    public void Remove(Http2Stream stream)
    {
        lock (_gate)
            _open.Remove(stream.Id);
    }

    /// <summary>Takes out a stream that is to be reset; false if it is not open.</summary>
    public bool Forget(Http2Stream stream)
    {
        lock (_gate)
            return ForgetCore(stream);
    }

    /// <summary>Notes a stream that was reset without having been open.</summary>
    public void Refuse(int id)
    {
        lock (_gate)
            Remember(id);
    }

    /// <summary>From now on no stream of ours is opened.</summary>
    public void Close()
    {
        lock (_gate)
            _closed = true;
    }

    private void AddCore(Http2Stream stream)
    {
        stream.Output.Window = new FlowWindow(_peerWindow);
        _open.Add(stream.Id, stream);
    }

    private bool ForgetCore(Http2Stream stream)
    {
        if (!_open.Remove(stream.Id))
            return false;
        Remember(stream.Id);
        return true;
    }

    private void Remember(int id)
    {
        if (!_reset.Add(id))
            return;
        _resetOrder.Enqueue(id);
        if (_resetOrder.Count > Remembered)
            _reset.Remove(_resetOrder.Dequeue());
    }
}
