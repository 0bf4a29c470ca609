using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// An HTTP/2 connection (RFC 9113), whichever side opened it. Its own thread receives, takes frames apart and hands bodies to their
/// streams; what is to be sent leaves from the thread that has it.
/// </summary>
internal abstract class Http2Connection
{
    /// <summary>How long a peer may take to hang up after it was told that the connection ends.</summary>
    protected static readonly TimeSpan LingerTime = TimeSpan.FromSeconds(1);

    /// <summary>What a client sends first.</summary>
    protected static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    private readonly bool _isServer;
    private readonly ReceiveWindow _window;
    private Exception? _endReason;

    protected Http2Connection(ConnectionSocket socket, Http2Limits limits, bool isServer)
    {
        (Socket, Limits, _isServer) = (socket, limits, isServer);
        Streams = new StreamTable(isServer);
        Sender = new FrameSender(socket, Streams);
        Reader = new FrameReader(socket);
        _window = new ReceiveWindow(limits.ConnectionWindow);
    }

    /// <summary>What the peer is allowed.</summary>
    public Http2Limits Limits { get; }

    /// <summary>Sends.</summary>
    public FrameSender Sender { get; }

    protected ConnectionSocket Socket { get; }

    /// <summary>Receives.</summary>
    public FrameReader Reader { get; }

    /// <summary>The open streams.</summary>
    public StreamTable Streams { get; }

    /// <summary>What the peer allows.</summary>
    public PeerSettings Peer { get; } = new();

    /// <summary>Counts the peer's frames that carry nothing.</summary>
    public AbuseGuard Guard { get; } = new();

    /// <summary>Serves the connection until it ends. Never throws.</summary>
    public void Run()
    {
        var reason = Explain(Serve());
        Sender.Fail(reason);
        Streams.Close();
        foreach (var stream in Streams.All)
            Break(stream, null, reason);
        OnEnded(reason);
        Socket.Dispose();
    }

    /// <summary>Room in a stream's window and the connection's is free again.</summary>
    public void Credit(Http2Stream stream, int bytes)
    {
        if (!stream.RemoteEnded && stream.Window.Return(bytes) is var grant and > 0)
            Sender.Send(FrameType.WindowUpdate, stream.Id, (uint)grant);
        CreditConnection(bytes);
    }

    /// <summary>Room in the connection's window is free again.</summary>
    public void CreditConnection(int bytes)
    {
        if (_window.Return(bytes) is var grant and > 0)
            Sender.Send(FrameType.WindowUpdate, 0, (uint)grant);
    }

    /// <summary>Takes received bytes off the connection's window; false if the peer was not allowed to send them.</summary>
    public bool TryTakeWindow(int bytes) => _window.TryTake(bytes);

    /// <summary>Resets a stream, if it is still open, and tells who waits for it.</summary>
    public void Break(Http2Stream stream, ErrorCode? tell, Exception fault)
    {
        Sender.Kill(stream.Output, tell, fault);
        stream.OnBroken(fault);
    }

    /// <summary>Ends the connection at once. May be called by any thread, also more than once.</summary>
    public void Abort(Exception reason)
    {
        Interlocked.CompareExchange(ref _endReason, reason, null);
        Socket.Abort();
    }

    /// <summary>Whatever comes before the first frame: TLS, preface, our settings.</summary>
    protected abstract void Begin();

    /// <summary>A header block has come.</summary>
    /// <param name="headers">Null if the list was larger than allowed.</param>
    public abstract void OnHeaders(int streamId, HeaderList? headers, bool endStream);

    /// <summary>The peer has sent its settings, for the first time or again.</summary>
    public virtual void OnSettings() { }

    /// <summary>The peer takes no new streams.</summary>
    public virtual void OnGoAway(int lastStreamId, ErrorCode code) { }

    /// <summary>A stream is gone from the table.</summary>
    public virtual void OnStreamEnded() { }

    /// <summary>The connection has ended.</summary>
    public abstract void OnEnded(Exception reason);

    /// <summary>Why the streams end, given what the connection has come to.</summary>
    protected virtual Exception Explain(Exception reason) => reason;

    protected void SendSettings(ReadOnlySpan<byte> preface)
    {
        List<(SettingId, uint)> settings =
        [
            (SettingId.InitialWindowSize, (uint)Limits.StreamWindow),
            (SettingId.MaxFrameSize, (uint)Limits.MaxFrame),
            (SettingId.MaxHeaderListSize, HeaderBlockReader.MaxListBytes),
            _isServer ? (SettingId.MaxConcurrentStreams, (uint)Limits.MaxStreams) : (SettingId.EnablePush, 0u),
        ];
        Sender.SendSettings(preface, settings, Limits.ConnectionWindow);
    }

    /// <summary>The peer has ended its side of <paramref name="stream"/>.</summary>
    public void EndRemote(Http2Stream stream)
    {
        Streams.EndRemote(stream);
        stream.Input.End();
        OnStreamEnded();
    }

    private Exception Serve()
    {
        try
        {
            Begin();
            using var keepAlive = new KeepAlive(
                Limits, Reader, () => Streams.Count > 0,
                () => Sender.Send(FrameType.Ping, FrameFlags.None, 0, stackalloc byte[8]),
                () => Abort(new IOException("the peer does not answer")));
            var handler = new FrameHandler(this, _isServer);
            while (Reader.TryReadHeader(out var header))
                handler.Handle(header);
            return _endReason ?? new IOException("the peer has closed the connection");
        }
        catch (Http2Exception fault)
        {
            EndBy(fault.Code, fault);
            return fault;
        }
        catch (Exception broken) when (broken is IOException or System.Net.Sockets.SocketException or ObjectDisposedException
            or System.Security.Authentication.AuthenticationException)
        {
            return _endReason ?? broken;
        }
        catch (Exception fault)
        {
            EndBy(ErrorCode.InternalError, fault);
            return fault;
        }
    }

    /// <summary>Says why, and leaves the peer a moment to read it: closing at once would take it out of its hands.</summary>
    private void EndBy(ErrorCode code, Exception reason)
    {
        Streams.Close();
        foreach (var stream in Streams.All)
            Break(stream, null, reason);
        Sender.SendGoAway(_isServer ? Streams.Last : 0, code);
        Sender.EndWhenEmpty();
        using var patience = new Timer(static socket => ((ConnectionSocket)socket!).Abort(), Socket, LingerTime, Timeout.InfiniteTimeSpan);
        try
        {
            var scratch = new byte[4096];
            while (Socket.Receive(scratch) > 0)
            {
            }
        }
        catch (IOException)
        {
        }
    }

}
