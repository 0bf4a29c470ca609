using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// Calls one of several members of etcd, and the next one when that does not answer. A request may arrive twice that way, so
/// every one that is made is the same done twice. Thread-safe.
/// </summary>
public sealed class EtcdClient : IDisposable
{
    /// <summary>A read of everything that a cluster keeps comes as one message.</summary>
    private const int MaxMessageBytes = 64 << 20;

    private readonly EtcdOptions _options;
    private readonly Lock _gate = new();
    private int _endpoint;
    private GrpcChannel _channel;
    private bool _disposed;

    public EtcdClient(EtcdOptions options)
    {
        _options = options;
        _channel = Connect();
    }

    /// <summary>All endpoints, for messages.</summary>
    public string Endpoints => string.Join(", ", _options.Endpoints);

    /// <summary>The endpoint in use.</summary>
    public string Endpoint
    {
        get
        {
            lock (_gate)
                return _options.Endpoints[_endpoint];
        }
    }

    /// <summary>To the endpoint in use.</summary>
    internal GrpcChannel Channel
    {
        get
        {
            lock (_gate)
                return _channel;
        }
    }

    /// <summary>A member of etcd that has lost the others refuses what bears this mark, where it would otherwise wait.</summary>
    internal static Metadata RequireLeader => new() { { "hasleader", "true" } };

    /// <summary>Whether a fault is no answer from etcd itself, so that another endpoint may give one.</summary>
    internal static bool IsAway(RpcException fault) => fault.Code is GrpcStatusCode.Unavailable or GrpcStatusCode.DeadlineExceeded
        or GrpcStatusCode.Cancelled or GrpcStatusCode.Unknown or GrpcStatusCode.Internal;

    /// <summary>The value of every key with a prefix, as of one revision.</summary>
    internal RangeRequest All(string prefix) => new() { Key = ByteString.CopyFromUtf8(prefix), RangeEnd = EtcdKeys.EndOf(prefix) };

    /// <summary>One request, to each endpoint in turn, and once more to the first because its connection may just have been old.</summary>
    /// <exception cref="MembershipException">None of them answered.</exception>
    /// <exception cref="RpcException">etcd refused.</exception>
    internal async Task<TResponse> CallAsync<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, TRequest request, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            var channel = Channel;
            try
            {
                return await CallAsync(channel, method, request, cancel);
            }
            catch (RpcException fault) when (IsAway(fault))
            {
                MoveOn(channel);
                if (attempt == _options.Endpoints.Count)
                    throw Silent(fault);
            }
        }
    }

    /// <summary>One request on one channel.</summary>
    internal Task<TResponse> CallAsync<TRequest, TResponse>(
        GrpcChannel channel, GrpcMethod<TRequest, TResponse> method, TRequest request, CancellationToken cancel) =>
        channel.UnaryAsync(method, request, new GrpcCallOptions(_options.CallTimeout, RequireLeader), cancel);

    /// <summary>
    /// The endpoint behind a channel failed: the next one is used from now on, or a new connection where there is only one. An old
    /// connection may be dead without knowing it.
    /// </summary>
    internal void MoveOn(GrpcChannel failed)
    {
        lock (_gate)
        {
            if (_disposed || failed != _channel)
                return;
            _endpoint = (_endpoint + 1) % _options.Endpoints.Count;
            _channel = Connect();
        }
        failed.Dispose();
    }

    /// <summary>No endpoint answers; says what is known of the cause.</summary>
    /// <param name="fault">Of the last try; null: none has failed yet.</param>
    internal MembershipException Silent(Exception? fault)
    {
        if (_options.Tls.Refusal is { } refusal)
            return new MembershipException($"etcd at {Endpoints} is not trusted: {refusal}", fault);
        var cause = fault switch { null => "", RpcException call => $" ({call.Status})", _ => $" ({fault.Message})" };
        var advice = !_options.Endpoints.Any(EtcdOptions.IsSecure) ? "or correct --etcd"
            : _options.Tls.ShowsCertificate ? "correct --etcd, or give a certificate that it takes (--etcd-cert)" : "correct --etcd, or show it a certificate, if it asks for one (--etcd-cert)";
        return new MembershipException($"etcd at {Endpoints} does not answer{cause}; start it, {advice}", fault);
    }

    public void Dispose()
    {
        lock (_gate)
            _disposed = true;
        _channel.Dispose();
    }

    private GrpcChannel Connect()
    {
        var endpoint = _options.Endpoints[_endpoint];
        return new GrpcChannel(endpoint, new GrpcChannelOptions
        {
            MaxReceiveMessageBytes = MaxMessageBytes,
            ConnectTimeout = _options.CallTimeout,
            Tls = EtcdOptions.IsSecure(endpoint) ? _options.Tls.ForConnection : null,
        });
    }
}
