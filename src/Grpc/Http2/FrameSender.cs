using System.Buffers.Binary;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// Everything that leaves on a connection. Whoever has something to send does so itself, in one piece and without waiting; only
/// when the system takes no more does a thread of the connection wait until it does and go on. Control frames go first, then the
/// streams in turn, a frame each.
/// </summary>
internal sealed partial class FrameSender
{
    /// <summary>Control frames that a peer may leave unread; one that sends requests without reading the answers would have them pile up.</summary>
    private const int MaxControlBytes = 1 << 20;

    private readonly Lock _gate = new();
    private readonly ControlFrames _control = new();
    private readonly BodyTurns _bodies = new();
    private readonly ConnectionSocket _socket;
    private readonly StreamTable _streams;
    private readonly SocketBacklog _backlog;
    private StreamOutput? _done;
    private bool _endWhenEmpty;
    private Exception? _failure;

    /// <param name="socket">Takes the bytes.</param>
    /// <param name="streams">The connection's.</param>
    public FrameSender(ConnectionSocket socket, StreamTable streams)
    {
        (_socket, _streams) = (socket, streams);
        _backlog = new SocketBacklog(socket, Resume);
    }

    /// <summary>Sends what a peer starts with, or nothing but the settings.</summary>
    public void SendSettings(ReadOnlySpan<byte> preface, IReadOnlyList<(SettingId Id, uint Value)> settings, int connectionWindow)
    {
        lock (_gate)
        {
            _control.AddPreface(preface);
            _control.AddSettings(settings);
            if (connectionWindow > PeerSettings.DefaultWindow)
                _control.AddWindowUpdate(0, connectionWindow - PeerSettings.DefaultWindow);
            Pump();
        }
        EndWaits();
    }

    /// <summary>Sends a control frame. A peer that leaves too many unread loses the connection.</summary>
    public void Send(FrameType type, FrameFlags flags, int streamId, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            payload.CopyTo(_control.Add(type, flags, streamId, payload.Length));
            Pump();
            if (_control.Count > MaxControlBytes)
                Break(new IOException("the peer leaves too many answers unread"));
        }
        EndWaits();
    }

    /// <summary>Sends a control frame whose payload is one number.</summary>
    public void Send(FrameType type, int streamId, uint value)
    {
        Span<byte> payload = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(payload, value);
        Send(type, FrameFlags.None, streamId, payload);
    }

    /// <summary>Sends GOAWAY.</summary>
    public void SendGoAway(int lastStreamId, ErrorCode code)
    {
        Span<byte> payload = stackalloc byte[8];
        BinaryPrimitives.WriteInt32BigEndian(payload, lastStreamId);
        BinaryPrimitives.WriteUInt32BigEndian(payload[4..], (uint)code);
        Send(FrameType.GoAway, FrameFlags.None, 0, payload);
    }

    /// <summary>Takes over the peer's settings, by which the windows of all open streams change, and acknowledges them.</summary>
    /// <exception cref="Http2Exception">A window becomes too large.</exception>
    public void Apply(PeerSettings settings)
    {
        lock (_gate)
        {
            _control.MaxFrame = settings.MaxFrame;
            foreach (var stream in _streams.ChangeWindow(settings.InitialWindow, out var change))
            {
                if (!stream.Output.Window.TryAdd(change))
                    throw new Http2Exception(ErrorCode.FlowControlError, "a change of SETTINGS_INITIAL_WINDOW_SIZE makes a window too large");
                _bodies.Queue(stream.Output);
            }
            _control.Add(FrameType.Settings, FrameFlags.Ack, 0, 0);
            Pump();
        }
        EndWaits();
    }

    /// <summary>The peer lets more bytes through on the connection; false if its window becomes too large.</summary>
    public bool TryGrant(int bytes)
    {
        bool fits;
        lock (_gate)
        {
            fits = _bodies.Window.TryAdd(bytes);
            Pump();
        }
        EndWaits();
        return fits;
    }

    /// <summary>The peer lets more bytes through on a stream; false if its window becomes too large.</summary>
    public bool TryGrant(StreamOutput output, int bytes)
    {
        bool fits;
        lock (_gate)
        {
            fits = output.Window.TryAdd(bytes);
            _bodies.Queue(output);
            Pump();
        }
        EndWaits();
        return fits;
    }

    /// <summary>Ends the sending side of the connection as soon as everything has left.</summary>
    public void EndWhenEmpty()
    {
        lock (_gate)
        {
            _endWhenEmpty = true;
            Pump();
        }
        EndWaits();
    }

    /// <summary>The connection is gone: nothing is sent any more. The streams are told by their connection.</summary>
    public void Fail(Exception failure)
    {
        lock (_gate)
            _failure ??= failure;
        _backlog.End();
    }

    /// <summary>Sends until nothing is left that may be sent, or the system takes no more.</summary>
    private void Pump()
    {
        if (_backlog.IsBlocked || _failure is not null)
            return;
        try
        {
            while (!_backlog.IsEmpty || TryTakeNext())
            {
                if (!_backlog.TrySend())
                    return;
                EndFrame();
            }
            if (_backlog.TryFlush() && _endWhenEmpty)
                _socket.EndSending();
        }
        catch (Exception broken) when (broken is IOException or ObjectDisposedException or InvalidOperationException)
        {
            Break(broken);
        }
    }

    /// <summary>The system takes bytes again.</summary>
    private void Resume()
    {
        lock (_gate)
        {
            _backlog.Unblock();
            Pump();
        }
        EndWaits();
    }

    /// <summary>The thread that reads finds the end of the connection and tells the streams.</summary>
    private void Break(Exception cause)
    {
        _failure ??= cause;
        _socket.Abort();
    }

    private bool TryTakeNext()
    {
        if (_control.Count > 0)
            _backlog.Begin(_control.Take());
        else if (_bodies.TryTake(_control.MaxFrame, out var frame))
            _backlog.Begin(frame);
        else
            return false;
        return true;
    }

    private void EndFrame()
    {
        if (_bodies.EndFrame() is not { } output)
            return;
        if (output.Ending is not null)
            SendEnd(output);
        if (output.TakeWaiter())
            (output.NextDone, _done) = (_done, output);
    }

    /// <summary>Ends the flushes that are done, outside the lock because their continuations may send again.</summary>
    private void EndWaits()
    {
        if (Volatile.Read(ref _done) is null)
            return;
        StreamOutput? done;
        lock (_gate)
            (done, _done) = (_done, null);
        while (done is not null)
        {
            var next = done.NextDone;
            done.NextDone = null;
            done.EndWait();
            done = next;
        }
    }
}
