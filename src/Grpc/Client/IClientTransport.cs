using System.IO.Pipelines;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Client;

/// <summary>Opens HTTP/2 streams to one server. This is the seam between gRPC and the HTTP/2 connection: whatever implements it carries every call shape.</summary>
internal interface IClientTransport : IDisposable
{
    /// <summary>Connects where needed and opens a stream.</summary>
    /// <param name="path"><c>/service/method</c>.</param>
    /// <param name="headers">Request headers without pseudo-headers.</param>
    /// <param name="sendHeadersAtOnce">Whether the headers leave now rather than with the first message.</param>
    /// <param name="scheduling">Where who waits for bytes goes on.</param>
    /// <param name="cancellationToken">Gives up, also later until the response's headers have come.</param>
    ValueTask<IClientStream> OpenAsync(string path, HeaderList headers, bool sendHeadersAtOnce, MessageScheduling scheduling, CancellationToken cancellationToken);

    /// <summary>What a fault of this transport or its streams means for a call.</summary>
    GrpcStatus Explain(Exception fault);
}

/// <summary>One HTTP/2 request under way. What fails throws the transport's own exceptions, which <see cref="IClientTransport.Explain"/> knows.</summary>
internal interface IClientStream
{
    /// <summary>The body of the request.</summary>
    PipeWriter Request { get; }

    /// <summary>The body of the response, once its headers have come.</summary>
    PipeReader Response { get; }

    /// <summary>The trailers, once the response has been read to its end.</summary>
    HeaderList Trailers { get; }

    /// <summary>Sends END_STREAM: no more of the request follows.</summary>
    void CompleteRequest();

    /// <summary>Waits for the response's status and headers.</summary>
    ValueTask<ResponseHead> ReceiveHeadAsync();

    /// <summary>Lets go of the stream; one that has not ended both ways is reset with RST_STREAM(CANCEL). Wakes whoever waits on it. May be called from any thread, and twice.</summary>
    void Close();
}

/// <summary>What a response starts with.</summary>
internal readonly record struct ResponseHead(int HttpStatus, HeaderList Headers);
