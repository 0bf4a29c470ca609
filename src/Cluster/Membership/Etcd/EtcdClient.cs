using Google.Protobuf;
using Grok1Cluster.Cluster.Security;
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
    private static Metadata RequireLeader => new() { { "hasleader", "true" } };

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

    /// <summary>One request on one channel; where the user's token has become old, once more with a new one.</summary>
    /// <exception cref="MembershipDeniedException">etcd does not take the user, or the user may not do that.</exception>
    internal async Task<TResponse> CallAsync<TRequest, TResponse>(
        GrpcChannel channel, GrpcMethod<TRequest, TResponse> method, TRequest request, CancellationToken cancel)
    {
        string? refused = null;
        while (true)
        {
            var token = await TokenAsync(channel, refused, cancel);
            try
            {
                return await channel.UnaryAsync(method, request, new GrpcCallOptions(_options.CallTimeout, Headers(token)), cancel);
            }
            catch (RpcException fault) when (token is not null && refused is null && EtcdUser.IsOld(fault))
            {
                refused = token;
            }
            catch (RpcException fault) when (Denial(fault) is { } denial)
            {
                throw denial;
            }
        }
    }

    /// <summary>Opens a stream of the user's. It is the user's for as long as it lasts: etcd looks at the token when something begins.</summary>
    /// <inheritdoc cref="CallAsync{TRequest,TResponse}(GrpcChannel, GrpcMethod{TRequest,TResponse}, TRequest, CancellationToken)" path="/exception"/>
    internal async Task<DuplexStreamingCall<TRequest, TResponse>> StreamAsync<TRequest, TResponse>(
        GrpcChannel channel, GrpcMethod<TRequest, TResponse> method, CancellationToken cancel) =>
        channel.DuplexStreaming(method, new GrpcCallOptions(null, Headers(await TokenAsync(channel, null, cancel))), cancel);

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

    /// <returns>Null: nobody in particular calls. Empty: there is a user, but etcd does not ask who calls.</returns>
    private async Task<string?> TokenAsync(GrpcChannel channel, string? refused, CancellationToken cancel)
    {
        if (_options.User is not { } user)
            return null;
        try
        {
            return await user.TokenAsync(refused, (password, cancel) => AuthenticateAsync(channel, user.Name, password, cancel), cancel);
        }
        catch (CredentialsException e)
        {
            throw new MembershipDeniedException(e.Message, e);
        }
        catch (RpcException fault) when (fault.Code == GrpcStatusCode.InvalidArgument)
        {
            throw new MembershipDeniedException($"etcd at {Endpoints} does not take user {user.Name} with the password given: {fault.Status.Message}; correct --etcd-user or --etcd-password-file", fault);
        }
    }

    private async Task<string> AuthenticateAsync(GrpcChannel channel, string name, string password, CancellationToken cancel)
    {
        try
        {
            var request = new AuthenticateRequest { Name = name, Password = password };
            return (await channel.UnaryAsync(EtcdMethods.Authenticate, request, new GrpcCallOptions(_options.CallTimeout, RequireLeader), cancel)).Token;
        }
        catch (RpcException fault) when (fault.Code == GrpcStatusCode.FailedPrecondition)
        {
            // It asks nobody who calls. Should it begin to, the calls after that are refused, and this is asked again.
            return "";
        }
    }

    private static Metadata Headers(string? token)
    {
        var headers = RequireLeader;
        if (!string.IsNullOrEmpty(token))
            headers.Add("token", token);
        return headers;
    }

    private MembershipDeniedException? Denial(RpcException fault) => fault switch
    {
        _ when EtcdUser.AsksForUser(fault) => new MembershipDeniedException($"etcd at {Endpoints} asks who is calling; name a user of it with --etcd-user and --etcd-password-file", fault),
        { Code: GrpcStatusCode.PermissionDenied } => new MembershipDeniedException(
            $"etcd at {Endpoints} does not let {(_options.User is { } user ? $"user {user.Name}" : "this process")} read and write below {new EtcdKeys(_options.Cluster).Prefix}; give the user a role that may", fault),
        _ => null,
    };

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
