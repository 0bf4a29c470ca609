namespace Grok1Cluster.Grpc.Server;

/// <summary>Serves the calls of one method.</summary>
internal abstract class ServerCallHandler
{
    /// <summary>Serves one call. Never throws.</summary>
    public abstract Task HandleAsync(IServerStream stream, ServerCallOptions options);
}

/// <summary>What all call shapes share: a call is opened, invoked and ended with a status.</summary>
internal abstract class ServerCallHandler<TRequest, TResponse>(GrpcMethod<TRequest, TResponse> method, MessageScheduling scheduling) : ServerCallHandler
{
    public sealed override async Task HandleAsync(IServerStream stream, ServerCallOptions options)
    {
        stream.Scheduling = scheduling;
        using var call = new ServerCall<TRequest, TResponse>(stream, method, options);
        try
        {
            await InvokeAsync(call, call.Open());
        }
        catch (Exception fault)
        {
            call.Fail(fault);
        }
        await call.EndAsync();
    }

    /// <summary>Reads, calls the application's handler, writes: the order that makes the call's shape.</summary>
    protected abstract Task InvokeAsync(ServerCall<TRequest, TResponse> call, ServerCallContext context);
}
