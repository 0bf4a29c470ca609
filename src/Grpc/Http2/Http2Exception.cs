namespace Grok1Cluster.Grpc.Http2;

/// <summary>A connection that must end with GOAWAY, or a stream or connection that the peer has ended with an error code.</summary>
internal class Http2Exception(ErrorCode code, string message) : IOException(message)
{
    /// <summary>What is, or was, said to the other side.</summary>
    public ErrorCode Code { get; } = code;
}

/// <summary>A fault of the peer that costs it one stream, which is reset, and leaves the connection alone.</summary>
internal sealed class StreamFaultException(int streamId, ErrorCode code, string message) : Http2Exception(code, message)
{
    /// <summary>The stream to reset.</summary>
    public int StreamId { get; } = streamId;
}
