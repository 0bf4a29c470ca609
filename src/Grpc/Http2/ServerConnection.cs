using System.Net.Security;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>A connection that a client has opened.</summary>
internal sealed class ServerConnection : Http2Connection
{
    /// <summary>How long a client may take for TLS and the first bytes of HTTP/2.</summary>
    private static readonly TimeSpan BeginTimeout = TimeSpan.FromSeconds(10);

    private readonly GrpcDispatcher _dispatcher;
    private readonly SslServerAuthenticationOptions? _tls;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _serving;
    private volatile bool _leaving;

    public ServerConnection(ConnectionSocket socket, Http2Limits limits, SslServerAuthenticationOptions? tls, GrpcDispatcher dispatcher, CancellationToken stopping)
        : base(socket, limits, isServer: true)
    {
        (_dispatcher, _tls, Stopping, PeerName) = (dispatcher, tls, stopping, socket.Peer);
    }

    /// <summary>Fires when the server begins to stop.</summary>
    public CancellationToken Stopping { get; }

    /// <summary>Who calls.</summary>
    public string PeerName { get; }

    /// <summary>Completes when the connection is gone and its handlers have been told.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Takes no new streams, and ends when those under way have ended.</summary>
    public void Leave()
    {
        _leaving = true;
        Sender.SendGoAway(Streams.Last, ErrorCode.NoError);
        EndIfDone();
    }

    public override void OnHeaders(int streamId, HeaderList? headers, bool endStream)
    {
        if (Streams.Find(streamId) is { } open)
        {
            open.OnHeaders(headers ?? throw TooLarge(streamId), endStream);
            return;
        }
        if (streamId % 2 == 0)
            throw new Http2Exception(ErrorCode.ProtocolError, $"a client opens stream {streamId}");
        if (streamId <= Streams.Last)
        {
            if (!Streams.WasReset(streamId))
                throw new Http2Exception(ErrorCode.StreamClosed, $"HEADERS on stream {streamId}, which has ended");
            Guard.Charge("HEADERS on closed streams");
            return;
        }
        Streams.Use(streamId);
        // What has been reset counts until its handler has returned, or resetting would open the door to any number of handlers.
        if (_leaving || Volatile.Read(ref _serving) >= Limits.MaxStreams)
            throw new StreamFaultException(streamId, ErrorCode.RefusedStream, "no more streams are taken");
        var stream = new ServerStream(this, streamId, headers ?? throw TooLarge(streamId));
        Streams.Add(stream);
        if (endStream)
            EndRemote(stream);
        Interlocked.Increment(ref _serving);
        ThreadPool.UnsafeQueueUserWorkItem(static stream => _ = stream.Item1.ServeAsync(stream.stream), (this, stream), preferLocal: false);
    }

    public override void OnEnded(Exception reason) => _ended.TrySetResult();

    protected override void Begin()
    {
        using var patience = new Timer(static connection => ((ServerConnection)connection!).Abort(new IOException("the client does not begin")), this, BeginTimeout, Timeout.InfiniteTimeSpan);
        if (_tls is not null)
            Socket.Authenticate(_tls);
        SendSettings([]);
        if (!Reader.Take(Preface.Length).SequenceEqual(Preface))
            throw new Http2Exception(ErrorCode.ProtocolError, "the client does not speak HTTP/2");
    }

    private async Task ServeAsync(ServerStream stream)
    {
        await _dispatcher.DispatchAsync(stream);
        stream.Finish();
        Interlocked.Decrement(ref _serving);
        EndIfDone();
    }

    private void EndIfDone()
    {
        if (!_leaving || Volatile.Read(ref _serving) != 0)
            return;
        Sender.EndWhenEmpty();
        // The client hangs up when it has read everything; one that does not is not waited for.
        _ = AbortLaterAsync();
    }

    private async Task AbortLaterAsync()
    {
        await Task.WhenAny(Ended, Task.Delay(LingerTime));
        Abort(new IOException("the server has stopped"));
    }

    private static StreamFaultException TooLarge(int streamId) =>
        new(streamId, ErrorCode.EnhanceYourCalm, $"a header list of more than {HeaderBlockReader.MaxListBytes} bytes");
}
