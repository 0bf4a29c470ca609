using System.Net;

namespace Grok1Cluster.Grpc.Client;

/// <summary>A request body that stays open: it hands out the stream to write to and lasts until it is completed.</summary>
internal sealed class HttpRequestStream(bool sendHeadersAtOnce) : HttpContent
{
    private readonly TaskCompletionSource<Stream> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Where to write, once the HTTP client has sent or buffered the headers.</summary>
    public Task<Stream> Opened => _opened.Task;

    /// <summary>Ends the body.</summary>
    public void Complete() => _completed.TrySetResult();

    /// <summary>Breaks the body off.</summary>
    public void Abort() => _completed.TrySetCanceled();

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        bool first;
        try
        {
            if (sendHeadersAtOnce)
                await stream.FlushAsync(cancellationToken);
        }
        finally
        {
            first = _opened.TrySetResult(stream);
        }
        // The HTTP client tries again on a new connection where a server has refused a stream; messages already written cannot be repeated.
        if (!first)
            throw new IOException("the server refused the call");
        // The HTTP client's own token is not watched: it fires when the server resets the stream, and ending here then would hide the reset's error code.
        await _completed.Task;
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
