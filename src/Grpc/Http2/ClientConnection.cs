using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>A connection that we have opened.</summary>
internal sealed class ClientConnection : Http2Connection
{
    private readonly Action<ConnectionSocket> _handshake;
    private readonly StreamSlots _slots = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _goAway;
    private bool _shaken;
    private volatile bool _leaving;

    /// <param name="socket">Connected.</param>
    /// <param name="limits">What the server is allowed.</param>
    /// <param name="handshake">Does TLS, or nothing.</param>
    public ClientConnection(ConnectionSocket socket, Http2Limits limits, Action<ConnectionSocket> handshake)
        : base(socket, limits, isServer: false) => _handshake = handshake;

    /// <summary>Completes when the server has shown that it speaks HTTP/2; fails if the connection ends before.</summary>
    public Task Ready => _ready.Task;

    /// <summary>Whether new streams may be opened.</summary>
    public bool IsUsable => !_leaving;

    /// <summary>Makes a stream, as soon as the server lets us have one more; null if it takes no new ones. The stream is opened by its first frame.</summary>
    public async ValueTask<ClientStream?> TryOpenAsync(HeaderList head, MessageScheduling scheduling, CancellationToken cancellationToken) =>
        await _slots.TryTakeAsync(cancellationToken) ? new ClientStream(this, head, scheduling) : null;

    /// <summary>A stream was closed by its call.</summary>
    public void Release()
    {
        _slots.Release();
        EndIfDone();
    }

    /// <summary>Opens no new streams, and ends when those under way have ended.</summary>
    public void Leave()
    {
        Retire();
        EndIfDone();
    }

    public override void OnHeaders(int streamId, HeaderList? headers, bool endStream)
    {
        if (Streams.Find(streamId) is { } stream)
            stream.OnHeaders(headers ?? throw new StreamFaultException(streamId, ErrorCode.EnhanceYourCalm, "a header list that is too large"), endStream);
        else if (!Streams.WasReset(streamId))
            throw new Http2Exception(ErrorCode.ProtocolError, $"HEADERS on stream {streamId}, which is not open");
        else
            Guard.Charge("HEADERS on closed streams");
    }

    public override void OnSettings()
    {
        _slots.SetLimit(Peer.MaxStreams);
        _ready.TrySetResult();
    }

    public override void OnGoAway(int lastStreamId, ErrorCode code)
    {
        if (code != ErrorCode.NoError)
            _goAway = new Http2Exception(code, $"the server ends the connection with error {(uint)code:x}");
        Retire();
        foreach (var stream in Streams.All)
            if (stream.Id > lastStreamId)
            {
                Streams.Remove(stream);
                Break(stream, null, new Http2Exception(ErrorCode.RefusedStream, "the server ends the connection and takes no new calls"));
            }
        EndIfDone();
    }

    public override void OnStreamEnded() => EndIfDone();

    public override void OnEnded(Exception reason)
    {
        Retire();
        if (_shaken)
            reason = new IOException($"{reason.Message}, after the TLS handshake: it does not accept this side's certificate, or takes no more connections", reason);
        if (_ready.TrySetException(reason))
            _ = _ready.Task.Exception;
    }

    protected override Exception Explain(Exception reason) => _goAway ?? reason;

    protected override void Begin()
    {
        _handshake(Socket);
        _shaken = Socket.IsEncrypted;
        SendSettings(Preface);
    }

    private void Retire()
    {
        _leaving = true;
        Streams.Close();
        _slots.Close();
    }

    private void EndIfDone()
    {
        if (_leaving && Streams.Count == 0)
            Abort(new IOException("the connection has ended"));
    }
}
