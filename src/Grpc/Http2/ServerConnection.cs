using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>A connection that a client has opened.</summary>
internal sealed class ServerConnection : Http2Connection
{
    /// <summary>How long a client may take for TLS and the first bytes of HTTP/2.</summary>
    private static readonly TimeSpan BeginTimeout = TimeSpan.FromSeconds(10);

    private readonly GrpcDispatcher _dispatcher;
    private readonly Func<SslServerAuthenticationOptions>? _tls;
    private readonly Func<ServerConnection, bool> _begun;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _serving;
    private volatile bool _leaving;

    /// <param name="socket">Connected.</param>
    /// <param name="limits">What the client is allowed.</param>
    /// <param name="tls">The rules of TLS; null in clear.</param>
    /// <param name="dispatcher">Serves the requests.</param>
    /// <param name="begun">Told when the client has shown who it is and that it speaks HTTP/2; false if there is no room for it.</param>
    /// <param name="stopping">Fires when the server begins to stop.</param>
    public ServerConnection(
        ConnectionSocket socket, Http2Limits limits, Func<SslServerAuthenticationOptions>? tls, GrpcDispatcher dispatcher,
        Func<ServerConnection, bool> begun, CancellationToken stopping)
        : base(socket, limits, isServer: true)
    {
        (_dispatcher, _tls, _begun, Stopping, PeerName, PeerAddress) = (dispatcher, tls, begun, stopping, socket.Peer, socket.PeerAddress);
    }

    /// <summary>Fires when the server begins to stop.</summary>
    public CancellationToken Stopping { get; }

    /// <summary>Who calls.</summary>
    public string PeerName { get; }

    /// <summary>The client's address without its port; none on a Unix socket.</summary>
    public IPAddress PeerAddress { get; }

    /// <summary>The client's certificate; null in clear, or where it showed none.</summary>
    public X509Certificate2? PeerCertificate => Socket.PeerCertificate;

    /// <summary>Whether the client has sent anything.</summary>
    public bool HasReceived => Socket.HasReceived;

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
            Socket.Authenticate(TlsOptions.ForServer(_tls()));
        SendSettings([]);
        if (!Reader.Take(Preface.Length).SequenceEqual(Preface))
            throw new Http2Exception(ErrorCode.ProtocolError, "the client does not speak HTTP/2");
        if (!_begun(this))
            throw new Http2Exception(ErrorCode.RefusedStream, "no more connections are taken");
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
