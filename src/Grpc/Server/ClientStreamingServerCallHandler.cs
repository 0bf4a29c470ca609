namespace Grok1Cluster.Grpc.Server;

/// <summary>A stream of requests, one response.</summary>
internal sealed class ClientStreamingServerCallHandler<TRequest, TResponse>(
    GrpcMethod<TRequest, TResponse> method,
    Func<IMessageReader<TRequest>, ServerCallContext, Task<TResponse>> handler)
    : ServerCallHandler<TRequest, TResponse>(method, MessageScheduling.Pool)
{
    protected override async Task InvokeAsync(ServerCall<TRequest, TResponse> call, ServerCallContext context)
    {
        var response = await handler(call, context);
        call.WriteSingle(response);
    }
}
