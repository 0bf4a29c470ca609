namespace Grok1Cluster.Grpc.Server;

/// <summary>One request, a stream of responses.</summary>
internal sealed class ServerStreamingServerCallHandler<TRequest, TResponse>(
    GrpcMethod<TRequest, TResponse> method,
    Func<TRequest, IMessageWriter<TResponse>, ServerCallContext, Task> handler)
    : ServerCallHandler<TRequest, TResponse>(method, MessageScheduling.Pool)
{
    protected override async Task InvokeAsync(ServerCall<TRequest, TResponse> call, ServerCallContext context)
    {
        var request = await call.ReadSingleAsync();
        await handler(request, call, context);
    }
}
