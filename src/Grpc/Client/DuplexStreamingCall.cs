namespace Grok1Cluster.Grpc.Client;

/// <summary>Streams both ways; one task may write while another reads.</summary>
public sealed class DuplexStreamingCall<TRequest, TResponse> : GrpcCall, IMessageWriter<TRequest>
{
    private readonly MessageCall<TRequest, TResponse> _call;

    internal DuplexStreamingCall(MessageCall<TRequest, TResponse> call)
        : base(call) => _call = call;

    /// <summary>What the server sends.</summary>
    public IMessageReader<TResponse> Responses => _call;

    /// <inheritdoc/>
    public ValueTask WriteAsync(TRequest message, CancellationToken cancellationToken) => _call.WriteAsync(message, cancellationToken);

    /// <summary>Tells the server that no more requests follow; responses may still come.</summary>
    public ValueTask CompleteAsync(CancellationToken cancellationToken) => _call.CompleteAsync(cancellationToken);
}
