using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Grpc.Server;

/// <summary>What a handler knows about the call it serves, and says beside its messages.</summary>
public sealed class ServerCallContext
{
    internal ServerCallContext(IServerStream stream, Metadata requestHeaders, DateTimeOffset? deadline, CancellationToken cancellationToken)
    {
        Method = stream.Path;
        Peer = stream.Peer;
        PeerCertificate = stream.PeerCertificate;
        RequestHeaders = requestHeaders;
        Deadline = deadline;
        CancellationToken = cancellationToken;
        ServerStopping = stream.Stopping;
    }

    /// <summary>Path of the method, <c>/service/method</c>.</summary>
    public string Method { get; }

    /// <summary>Who calls: <c>ipv4:address:port</c>, <c>ipv6:[address]:port</c> or <c>unix:</c>.</summary>
    public string Peer { get; }

    /// <summary>The client's certificate, checked by the rules of the server's TLS; null in clear, or where it showed none.</summary>
    public X509Certificate2? PeerCertificate { get; }

    /// <summary>Metadata from the client.</summary>
    public Metadata RequestHeaders { get; }

    /// <summary>When the client gives up, or null if it waits for ever.</summary>
    public DateTimeOffset? Deadline { get; }

    /// <summary>Fires when the client has cancelled or is gone, and when the deadline has passed. Every handler that waits must watch it.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>Fires when the server begins to stop; calls that would go on for ever should end now. A handler that lets this cancellation out ends its call with UNAVAILABLE.</summary>
    public CancellationToken ServerStopping { get; }

    /// <summary>Metadata to send with the first message.</summary>
    public Metadata ResponseHeaders { get; } = [];

    /// <summary>Metadata to send with the status.</summary>
    public Metadata ResponseTrailers { get; } = [];
}
