namespace Grok1Cluster.Grpc;

/// <summary>
/// A call that did not end with <see cref="GrpcStatusCode.Ok"/>. A handler throws it to answer with its status and trailers;
/// a client receives it with what the server, or the transport, said.
/// </summary>
public sealed class RpcException : Exception
{
    /// <summary>A failure without trailers.</summary>
    public RpcException(GrpcStatusCode code, string message)
        : this(new GrpcStatus(code, message), []) { }

    /// <summary>A failure with trailers.</summary>
    public RpcException(GrpcStatus status, Metadata trailers)
        : base(status.ToString())
    {
        Status = status;
        Trailers = trailers;
    }

    /// <summary>The code and message of the call.</summary>
    public GrpcStatus Status { get; }

    /// <summary>The code of the call.</summary>
    public GrpcStatusCode Code => Status.Code;

    /// <summary>Metadata that came, or is to be sent, with the status.</summary>
    public Metadata Trailers { get; }
}
