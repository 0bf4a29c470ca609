namespace Grok1Cluster.Grpc.Client;

/// <summary>One request, a stream of responses.</summary>
public sealed class ServerStreamingCall<TResponse> : GrpcCall
{
    internal ServerStreamingCall(ClientCall call, IMessageReader<TResponse> responses)
        : base(call) => Responses = responses;

    /// <summary>What the server sends.</summary>
    public IMessageReader<TResponse> Responses { get; }
}
