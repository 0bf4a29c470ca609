using Grok1Cluster.Grpc.Http2;

namespace Grok1Cluster.Grpc.Client;

/// <summary>
/// Calls the methods of one server. Connections are made when needed, again after each failure, and shared by all calls. Thread-safe; one channel per server is enough.
/// </summary>
/// <remarks>
/// A call that does not end with OK throws <see cref="RpcException"/>, except where the token passed at its start was
/// cancelled: that throws <see cref="OperationCanceledException"/>. Streaming calls must be disposed, which resets what has not ended.
/// </remarks>
public sealed class GrpcChannel : IDisposable
{
    private readonly CancellationTokenSource _closed = new();
    private readonly IClientTransport _transport;
    private readonly GrpcChannelOptions _options;

    /// <summary>A channel to <paramref name="address"/>, as <see cref="GrpcAddress.Parse"/> reads it; does not connect yet.</summary>
    /// <exception cref="FormatException">The address cannot be read.</exception>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public GrpcChannel(string address, GrpcChannelOptions options)
        : this(GrpcAddress.Parse(address), options) { }

    /// <summary>A channel to <paramref name="address"/>; does not connect yet.</summary>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public GrpcChannel(GrpcAddress address, GrpcChannelOptions options)
    {
        _options = OptionsCheck.Valid(options);
        _transport = options.Transport == GrpcTransport.Own ? new OwnTransport(address, options) : new HttpTransport(address, options);
    }

    /// <summary>Sends one request and waits for the one response.</summary>
    public async Task<TResponse> UnaryAsync<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, GrpcCallOptions options, CancellationToken cancellationToken)
    {
        using var call = Unary(method, request, options, cancellationToken);
        return await call.Response;
    }

    /// <summary>As <see cref="UnaryAsync"/>, with access to the metadata that comes back.</summary>
    public UnaryCall<TResponse> Unary<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, GrpcCallOptions options, CancellationToken cancellationToken)
    {
        var call = Start(method, options, sendHeadersAtOnce: false, cancellationToken);
        return new UnaryCall<TResponse>(call, call.ExchangeAsync(request));
    }

    /// <summary>Sends one request, to be answered by a stream.</summary>
    public ServerStreamingCall<TResponse> ServerStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, TRequest request, GrpcCallOptions options, CancellationToken cancellationToken)
    {
        var call = Start(method, options, sendHeadersAtOnce: false, cancellationToken);
        _ = call.SendSingleAsync(request);
        return new ServerStreamingCall<TResponse>(call, call);
    }

    /// <summary>Opens a stream to the server, to be answered by one response.</summary>
    public ClientStreamingCall<TRequest, TResponse> ClientStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, GrpcCallOptions options, CancellationToken cancellationToken)
        => new(Start(method, options, sendHeadersAtOnce: true, cancellationToken));

    /// <summary>Opens streams both ways.</summary>
    public DuplexStreamingCall<TRequest, TResponse> DuplexStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, GrpcCallOptions options, CancellationToken cancellationToken)
        => new(Start(method, options, sendHeadersAtOnce: true, cancellationToken));

    /// <summary>Ends the calls under way with CANCELLED and closes the connections.</summary>
    public void Dispose()
    {
        _closed.Cancel();
        _transport.Dispose();
    }

    private MessageCall<TRequest, TResponse> Start<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, GrpcCallOptions options, bool sendHeadersAtOnce, CancellationToken cancellationToken)
        => new(_transport, method, _options, options, sendHeadersAtOnce, _closed.Token, cancellationToken);
}
