using System.Net;
using System.Net.Sockets;
using Grok1Cluster.Grpc.Server;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Listens with our own connections.</summary>
internal sealed class OwnHost : IServerHost
{
    private readonly Admission _admission;
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Socket> _listeners = [];
    private readonly List<GrpcAddress> _addresses = [];
    private readonly GrpcDispatcher _dispatcher;
    private readonly GrpcServerOptions _options;
    private readonly Http2Limits _limits;

    private OwnHost(GrpcDispatcher dispatcher, GrpcServerOptions options)
    {
        (_dispatcher, _options) = (dispatcher, options);
        _admission = new Admission(options.MaxBeginningConnections, options.MaxConnections);
        _limits = new Http2Limits
        {
            StreamWindow = options.StreamWindowBytes,
            ConnectionWindow = Math.Max(options.ConnectionWindowBytes, options.StreamWindowBytes),
            MaxFrame = options.MaxFrameBytes,
            MaxStreams = options.MaxStreamsPerConnection,
            PingDelay = options.KeepAlivePingDelay,
            PingTimeout = options.KeepAlivePingTimeout,
            PingOnlyWithStreams = false,
        };
    }

    public IReadOnlyList<GrpcAddress> Addresses => _addresses;

    /// <summary>Opens the endpoints.</summary>
    /// <exception cref="FormatException">A host cannot be listened on.</exception>
    /// <exception cref="IOException">An address is in use.</exception>
    public static IServerHost Start(IReadOnlyList<GrpcAddress> wanted, GrpcDispatcher dispatcher, GrpcServerOptions options)
    {
        var host = new OwnHost(dispatcher, options);
        try
        {
            foreach (var address in wanted)
                host.Listen(address);
        }
        catch
        {
            host.CloseListeners();
            throw;
        }
        for (var i = 0; i < wanted.Count; i++)
            _ = host.AcceptAllAsync(host._listeners[i], wanted[i].UnixPath is null);
        return host;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        CloseListeners();
        await _stopping.CancelAsync();
        var connections = _admission.Close();
        foreach (var connection in connections)
            connection.Leave();
        try
        {
            await Task.WhenAll(connections.Select(connection => connection.Ended)).WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            foreach (var connection in connections)
                connection.Abort(new IOException("the server has stopped"));
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync(new CancellationToken(canceled: true));

    private void Listen(GrpcAddress address)
    {
        var endPoint = EndPointOf(address);
        var socket = new Socket(endPoint.AddressFamily, SocketType.Stream, address.UnixPath is null ? ProtocolType.Tcp : ProtocolType.Unspecified);
        _listeners.Add(socket);
        if (address.Host == "*" && endPoint.AddressFamily == AddressFamily.InterNetworkV6)
            socket.DualMode = true;
        try
        {
            socket.Bind(endPoint);
            socket.Listen();
        }
        catch (SocketException taken)
        {
            throw ListenFault.Of(address.ToString(), taken)!;
        }
        _addresses.Add(socket.LocalEndPoint is IPEndPoint ip ? GrpcAddress.Tcp(address.Host == "*" ? "*" : ip.Address.ToString(), ip.Port) : address);
    }

    private static EndPoint EndPointOf(GrpcAddress address)
    {
        if (address.UnixPath is { } path)
            return new UnixDomainSocketEndPoint(path);
        if (address.Host == "*")
            return new IPEndPoint(Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any, address.Port);
        if (address.Host == "localhost")
            return new IPEndPoint(IPAddress.Loopback, address.Port);
        return IPAddress.TryParse(address.Host, out var ip) ? new IPEndPoint(ip, address.Port)
            : throw new FormatException($"cannot listen on '{address}': the host must be an IP address, localhost or *");
    }

    private async Task AcceptAllAsync(Socket listener, bool mayUseTls)
    {
        while (!_stopping.IsCancellationRequested)
            try
            {
                await _admission.TakeSlotAsync(_stopping.Token);
                Begin(await AcceptAsync(listener), mayUseTls);
            }
            catch (SocketException) when (!_stopping.IsCancellationRequested)
            {
                // The client has gone before it was accepted, or the system is short of descriptors: others will come.
                await Task.Delay(AcceptRetry);
            }
            catch (Exception closed) when (closed is ObjectDisposedException or SocketException or OperationCanceledException)
            {
                return;
            }
    }

    private async Task<Socket> AcceptAsync(Socket listener)
    {
        try
        {
            return await listener.AcceptAsync();
        }
        catch
        {
            _admission.GiveBack();
            throw;
        }
    }

    private void Begin(Socket socket, bool mayUseTls)
    {
        ServerConnection connection;
        try
        {
            connection = new ServerConnection(
                new ConnectionSocket(socket, _options.ReceiveSpin), _limits, mayUseTls ? _options.Tls : null, _dispatcher, _admission.TryOpen, _stopping.Token);
        }
        catch (SocketException)
        {
            _admission.GiveBack();
            socket.Dispose();
            return;
        }
        if (!_admission.TryEnter(connection))
        {
            socket.Dispose();
            return;
        }
        new Thread(() => Serve(connection)) { IsBackground = true, Name = "http2-server" }.Start();
    }

    private void Serve(ServerConnection connection)
    {
        connection.Run();
        _admission.Leave(connection);
    }

    private void CloseListeners()
    {
        foreach (var listener in _listeners)
            listener.Dispose();
    }

    /// <summary>How long to wait where accepting fails.</summary>
    private static TimeSpan AcceptRetry { get; } = TimeSpan.FromMilliseconds(10);
}
