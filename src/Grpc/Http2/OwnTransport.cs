using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Streams on a connection of our own, made when needed and again when it has ended.</summary>
internal sealed class OwnTransport(GrpcAddress address, GrpcChannelOptions options) : IClientTransport
{
    /// <summary>Connections tried for one call, where the server has just said that it takes no new calls on one.</summary>
    private const int Attempts = 3;

    /// <summary>Streams of a connection share this many windows of one stream.</summary>
    private const int StreamsPerConnectionWindow = 4;

    private readonly Lock _gate = new();
    private readonly string _scheme = options.Tls is null ? "http" : "https";
    private readonly string _authority = address.UnixPath is null ? $"{address.UriHost}:{address.Port}" : address.Host;
    private readonly Http2Limits _limits = new()
    {
        StreamWindow = options.StreamWindowBytes,
        ConnectionWindow = (int)Math.Min((long)StreamsPerConnectionWindow * options.StreamWindowBytes, int.MaxValue),
        MaxFrame = Server.GrpcServerOptions.DefaultFrameBytes,
        MaxStreams = 0,
        PingDelay = options.KeepAlivePingDelay,
        PingTimeout = options.KeepAlivePingTimeout,
        PingOnlyWithStreams = true,
    };

    private Task<ClientConnection>? _connection;
    private bool _disposed;

    public async ValueTask<IClientStream> OpenAsync(
        string path, HeaderList headers, bool sendHeadersAtOnce, MessageScheduling scheduling, CancellationToken cancellationToken)
    {
        var head = new HeaderList { { ":method", "POST" }, { ":scheme", _scheme }, { ":path", path }, { ":authority", _authority } };
        head.AddRange(headers);
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            var connection = await Connection().WaitAsync(cancellationToken);
            if (await connection.TryOpenAsync(head, scheduling, cancellationToken) is not { } stream)
                continue;
            try
            {
                if (sendHeadersAtOnce)
                    await stream.Request.FlushAsync(cancellationToken);
                return stream;
            }
            catch
            {
                // Nobody else knows it, and its place among the server's streams is for others.
                stream.Close();
                throw;
            }
        }
        throw new Http2Exception(ErrorCode.RefusedStream, "the server takes no new calls");
    }

    public GrpcStatus Explain(Exception fault) => fault switch
    {
        Http2Exception http => new GrpcStatus(HttpErrorMapping.FromHttp2Error((long)http.Code), $"{address}: {fault.Message}"),
        OperationCanceledException or ObjectDisposedException => new GrpcStatus(GrpcStatusCode.Cancelled, "the call was cancelled"),
        IOException or SocketException or AuthenticationException or TimeoutException => new GrpcStatus(GrpcStatusCode.Unavailable, $"{address}: {fault.Message}"),
        _ => new GrpcStatus(GrpcStatusCode.Internal, fault.Message),
    };

    public void Dispose()
    {
        Task<ClientConnection>? connection;
        lock (_gate)
        {
            _disposed = true;
            connection = _connection;
        }
        connection?.ContinueWith(static connected => connected.Result.Leave(), CancellationToken.None,
            TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private Task<ClientConnection> Connection()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_connection is { IsCompleted: false } or { IsCompletedSuccessfully: true, Result.IsUsable: true })
                return _connection;
            return _connection = ConnectAsync();
        }
    }

    private async Task<ClientConnection> ConnectAsync()
    {
        var started = new TaskCompletionSource<ClientConnection>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Run(started)) { IsBackground = true, Name = "http2-client" }.Start();
        var connection = await started.Task;
        try
        {
            await connection.Ready.WaitAsync(options.ConnectTimeout);
        }
        catch (TimeoutException)
        {
            var late = new IOException($"no connection within {options.ConnectTimeout.TotalSeconds} s");
            connection.Abort(late);
            throw late;
        }
        return connection;
    }

    /// <summary>The life of a connection, on its own thread.</summary>
    private void Run(TaskCompletionSource<ClientConnection> started)
    {
        ClientConnection connection;
        try
        {
            connection = new ClientConnection(new ConnectionSocket(Connect(), options.ReceiveSpin), _limits, Handshake);
        }
        catch (Exception fault)
        {
            started.SetException(fault);
            return;
        }
        started.SetResult(connection);
        connection.Run();
    }

    private Socket Connect()
    {
        if (address.UnixPath is { } path)
            return ConnectTo(new UnixDomainSocketEndPoint(path), ProtocolType.Unspecified);
        var addresses = IPAddress.TryParse(address.Host, out var ip) ? [ip] : Dns.GetHostAddresses(address.Host);
        for (var i = 0; ; i++)
            try
            {
                return ConnectTo(new IPEndPoint(addresses[i], address.Port), ProtocolType.Tcp);
            }
            catch (SocketException) when (i + 1 < addresses.Length)
            {
            }
    }

    private Socket ConnectTo(EndPoint endPoint, ProtocolType protocol)
    {
        // Asynchronous connecting would have the runtime watch the socket for good and wake a thread for every message.
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, protocol) { Blocking = false };
        try
        {
            socket.Connect(endPoint);
        }
        catch (SocketException pending) when (pending.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            if (!socket.Poll(options.ConnectTimeout, SelectMode.SelectWrite))
                throw Failed(SocketError.TimedOut);
            if (socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error) is int and not 0 and var error)
                throw Failed((SocketError)error);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        return socket;

        SocketException Failed(SocketError error)
        {
            socket.Dispose();
            return new SocketException((int)error);
        }
    }

    private void Handshake(ConnectionSocket socket)
    {
        if (options.Tls is not { } tls || address.UnixPath is not null)
            return;
        try
        {
            socket.Authenticate(TlsOptions.ForClient(tls(), address.Host));
        }
        catch (Exception fault) when (fault is AuthenticationException or IOException)
        {
            throw new AuthenticationException($"the TLS handshake failed: {fault.Message}", fault);
        }
    }
}
