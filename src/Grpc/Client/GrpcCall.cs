namespace Grok1Cluster.Grpc.Client;

/// <summary>A call under way, whatever its shape. Dispose it: a call that has not ended is cancelled thereby.</summary>
public abstract class GrpcCall : IDisposable
{
    private readonly ClientCall _call;

    private protected GrpcCall(ClientCall call) => _call = call;

    /// <summary>Metadata that the server sent ahead of its messages; fails as the call does if it ends before.</summary>
    public Task<Metadata> ResponseHeaders => _call.ResponseHeaders;

    /// <summary>How the call ended. Never faults. A streaming call ends when its responses have been read to the end, or it fails.</summary>
    public Task<GrpcStatus> Completion => _call.Completion;

    /// <summary>Metadata that came with the status; empty until the call has ended.</summary>
    public Metadata ResponseTrailers => _call.ResponseTrailers;

    /// <inheritdoc/>
    public void Dispose() => _call.Dispose();
}
