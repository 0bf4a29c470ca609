namespace Grok1Cluster.Grpc.Client;

/// <summary>One request, one response.</summary>
public sealed class UnaryCall<TResponse> : GrpcCall
{
    internal UnaryCall(ClientCall call, Task<TResponse> response)
        : base(call) => Response = response;

    /// <summary>The response, or the call's failure.</summary>
    public Task<TResponse> Response { get; }
}
