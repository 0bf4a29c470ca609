using System.Collections.Frozen;

namespace Grok1Cluster.Grpc.Server;

/// <summary>
/// The methods that a server offers. A server takes a snapshot when it starts. Handlers run concurrently; they throw
/// <see cref="RpcException"/> to answer with a status, and anything else they throw is logged and becomes <see cref="GrpcStatusCode.Unknown"/>.
/// </summary>
public sealed class GrpcServices
{
    private readonly Dictionary<string, ServerCallHandler> _handlers = [];

    /// <summary>One request, one response.</summary>
    public GrpcServices AddUnary<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, Func<TRequest, ServerCallContext, Task<TResponse>> handler)
        => Add(method.Path, new UnaryServerCallHandler<TRequest, TResponse>(method, handler));

    /// <summary>One request, a stream of responses.</summary>
    public GrpcServices AddServerStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, Func<TRequest, IMessageWriter<TResponse>, ServerCallContext, Task> handler)
        => Add(method.Path, new ServerStreamingServerCallHandler<TRequest, TResponse>(method, handler));

    /// <summary>A stream of requests, one response.</summary>
    public GrpcServices AddClientStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, Func<IMessageReader<TRequest>, ServerCallContext, Task<TResponse>> handler)
        => Add(method.Path, new ClientStreamingServerCallHandler<TRequest, TResponse>(method, handler));

    /// <summary>Both sides stream, independently of each other. The handler may read and write concurrently, but must have finished both when it returns.</summary>
    public GrpcServices AddDuplexStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, Func<IMessageReader<TRequest>, IMessageWriter<TResponse>, ServerCallContext, Task> handler)
        => AddDuplexStreaming(method, handler, MessageScheduling.Pool);

    /// <summary>As the other overload, with a choice of where the handler goes on when a message has come.</summary>
    public GrpcServices AddDuplexStreaming<TRequest, TResponse>(
        GrpcMethod<TRequest, TResponse> method, Func<IMessageReader<TRequest>, IMessageWriter<TResponse>, ServerCallContext, Task> handler,
        MessageScheduling scheduling)
        => Add(method.Path, new DuplexStreamingServerCallHandler<TRequest, TResponse>(method, handler, scheduling));

    /// <summary>What has been added so far, by path.</summary>
    internal FrozenDictionary<string, ServerCallHandler> Snapshot() => _handlers.ToFrozenDictionary();

    private GrpcServices Add(string path, ServerCallHandler handler)
    {
        if (!_handlers.TryAdd(path, handler))
            throw new ArgumentException($"the method {path} has been added before");
        return this;
    }
}
