namespace Grok1Cluster.Grpc.Server;

/// <summary>Streams both ways.</summary>
internal sealed class DuplexStreamingServerCallHandler<TRequest, TResponse>(
    GrpcMethod<TRequest, TResponse> method,
    Func<IMessageReader<TRequest>, IMessageWriter<TResponse>, ServerCallContext, Task> handler,
    MessageScheduling scheduling)
    : ServerCallHandler<TRequest, TResponse>(method, scheduling)
{
    protected override Task InvokeAsync(ServerCall<TRequest, TResponse> call, ServerCallContext context) => handler(call, call, context);
}
