namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// What is under way to the socket. Where the system takes no more, a thread of its own waits until it does: it is made when that first
/// happens, which on most connections is never. Guarded by the sender's lock, the thread apart.
/// </summary>
/// <param name="socket">Takes the bytes.</param>
/// <param name="resume">Told, on the waiting thread and outside the lock, that the system takes bytes again.</param>
internal sealed class SocketBacklog(ConnectionSocket socket, Action resume)
{
    private readonly AutoResetEvent _wake = new(false);
    private ReadOnlyMemory<byte> _underWay;
    private Thread? _thread;
    private volatile bool _ended;

    /// <summary>Whether the system takes no more; nothing may be sent until <see cref="Unblock"/>.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>Whether there is nothing under way.</summary>
    public bool IsEmpty => _underWay.IsEmpty;

    /// <summary>Begins to send bytes, when those before have left. They must stay as they are until then.</summary>
    public void Begin(ReadOnlyMemory<byte> bytes) => _underWay = bytes;

    /// <summary>Sends what is under way; false where the system takes no more.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public bool TrySend()
    {
        while (!_underWay.IsEmpty)
        {
            var sent = socket.Send(_underWay.Span);
            _underWay = _underWay[sent..];
            if (sent == 0)
                return Block();
        }
        return true;
    }

    /// <summary>Sends what the socket itself holds back; false where the system takes no more.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public bool TryFlush() => socket.TryFlush() || Block();

    /// <summary>The system takes bytes again.</summary>
    public void Unblock() => IsBlocked = false;

    /// <summary>Ends the thread, if there is one. May be called by any thread.</summary>
    public void End()
    {
        _ended = true;
        _wake.Set();
    }

    private bool Block()
    {
        IsBlocked = true;
        if (_thread is null)
        {
            _thread = new Thread(WaitAndResume) { IsBackground = true, Name = "http2-send" };
            _thread.Start();
        }
        _wake.Set();
        return false;
    }

    private void WaitAndResume()
    {
        while (true)
        {
            _wake.WaitOne();
            if (_ended)
                return;
            try
            {
                socket.WaitUntilWritable();
            }
            catch (Exception gone) when (gone is System.Net.Sockets.SocketException or ObjectDisposedException)
            {
                return;
            }
            resume();
        }
    }
}
