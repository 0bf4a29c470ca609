namespace Grok1Cluster.Grpc;

/// <summary>Which implementation of HTTP/2 carries the calls. Peers cannot tell the difference; each side chooses for itself.</summary>
public enum GrpcTransport
{
    /// <summary>The connections of this library, made for large messages and short round trips.</summary>
    Own,

    /// <summary>Kestrel on a server, SocketsHttpHandler on a client.</summary>
    Stock,
}
