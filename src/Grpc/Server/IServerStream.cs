using System.IO.Pipelines;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Server;

/// <summary>
/// One HTTP/2 request as a transport hands it to the call handlers. This is the seam between gRPC and the HTTP/2 connection:
/// whatever implements it serves every call shape.
/// </summary>
internal interface IServerStream
{
    /// <summary>HTTP method.</summary>
    string Method { get; }

    /// <summary>Path, <c>/service/method</c>.</summary>
    string Path { get; }

    /// <summary>Who calls: <c>ipv4:address:port</c>, <c>ipv6:[address]:port</c> or <c>unix:</c>.</summary>
    string Peer { get; }

    /// <summary>The client's certificate; null in clear, or where it showed none.</summary>
    X509Certificate2? PeerCertificate { get; }

    /// <summary>Request headers without pseudo-headers.</summary>
    HeaderList RequestHeaders { get; }

    /// <summary>The body the client sends.</summary>
    PipeReader Request { get; }

    /// <summary>The body of the answer. The first flush sends the response headers.</summary>
    PipeWriter Response { get; }

    /// <summary>Fires when the client has reset the stream or the connection is gone.</summary>
    CancellationToken Aborted { get; }

    /// <summary>Fires when the server begins to stop.</summary>
    CancellationToken Stopping { get; }

    /// <summary>Whether the response headers have been sent.</summary>
    bool HasStarted { get; }

    /// <summary>Where who waits for bytes goes on. To be set before the first wait.</summary>
    MessageScheduling Scheduling { set; }

    /// <summary>Sets what is sent with the first flush, or at the end if there is none.</summary>
    void SetResponseHead(int httpStatus, HeaderList headers);

    /// <summary>Sets what is sent after the body. Must follow the start of the response.</summary>
    void SetTrailers(HeaderList trailers);

    /// <summary>Ends the response with the head or the trailers that were set, while the handler goes on; it must not write any more.</summary>
    Task EndResponseAsync();

    /// <summary>Breaks the stream off with RST_STREAM(CANCEL).</summary>
    void Reset();
}
