namespace Grok1Cluster.Grpc.Client;

/// <summary>A stream of requests, one response.</summary>
public sealed class ClientStreamingCall<TRequest, TResponse> : GrpcCall, IMessageWriter<TRequest>
{
    private readonly MessageCall<TRequest, TResponse> _call;

    internal ClientStreamingCall(MessageCall<TRequest, TResponse> call)
        : base(call)
    {
        _call = call;
        Response = call.ReceiveResponseAsync();
    }

    /// <summary>The response, or the call's failure. It may come before the last request, if the server has heard enough.</summary>
    public Task<TResponse> Response { get; }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(TRequest message, CancellationToken cancellationToken)
    {
        try
        {
            await _call.WriteAsync(message, cancellationToken);
        }
        catch (RpcException)
        {
            // The stream is broken, so the response is there or about to fail; the server's own word on it comes first.
            await Response;
            throw;
        }
    }

    /// <summary>Tells the server that no more requests follow.</summary>
    public ValueTask CompleteAsync(CancellationToken cancellationToken) => _call.CompleteAsync(cancellationToken);
}
