namespace Grok1Cluster.Grpc.Server;

/// <summary>One request, one response.</summary>
internal sealed class UnaryServerCallHandler<TRequest, TResponse>(
    GrpcMethod<TRequest, TResponse> method,
    Func<TRequest, ServerCallContext, Task<TResponse>> handler)
    : ServerCallHandler<TRequest, TResponse>(method, MessageScheduling.Pool)
{
    protected override async Task InvokeAsync(ServerCall<TRequest, TResponse> call, ServerCallContext context)
    {
        var request = await call.ReadSingleAsync();
        var response = await handler(request, context);
        call.WriteSingle(response);
    }
}
