using System.IO.Pipelines;
using System.Net.Http.Headers;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Client;

/// <summary>A request on the runtime's HTTP/2 client.</summary>
internal sealed class HttpClientStream : IClientStream
{
    private static readonly StreamPipeWriterOptions WriterOptions = new(minimumBufferSize: 32 << 10, leaveOpen: true);
    private static readonly StreamPipeReaderOptions ReaderOptions = new(bufferSize: 64 << 10, minimumReadSize: 4 << 10, leaveOpen: true);

    private readonly HttpRequestStream _content;
    private readonly Task<HttpResponseMessage> _response;
    private PipeReader? _reader;
    private int _closed;

    private HttpClientStream(HttpRequestStream content, Task<HttpResponseMessage> response, Stream body)
    {
        _content = content;
        _response = response;
        Request = PipeWriter.Create(body, WriterOptions);
    }

    public PipeWriter Request { get; }

    public PipeReader Response => _reader ?? throw new InvalidOperationException("the response has not begun");

    public HeaderList Trailers => ToList(_response.Result.TrailingHeaders);

    /// <summary>Sends <paramref name="request"/>, whose content is a <see cref="HttpRequestStream"/>, and waits until its body can be written.</summary>
    public static async ValueTask<HttpClientStream> OpenAsync(HttpMessageInvoker invoker, HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var content = (HttpRequestStream)request.Content!;
        var response = invoker.SendAsync(request, cancellationToken);
        // A failure to connect comes without a body to write; an answer may overtake the body, but comes after it was begun.
        if (await Task.WhenAny(content.Opened, response) == response && !response.IsCompletedSuccessfully && !content.Opened.IsCompleted)
        {
            content.Abort();
            await response;
        }
        return new HttpClientStream(content, response, await content.Opened);
    }

    public void CompleteRequest()
    {
        Request.Complete();
        _content.Complete();
    }

    public async ValueTask<ResponseHead> ReceiveHeadAsync()
    {
        var response = await _response;
        _reader = PipeReader.Create(response.Content.ReadAsStream(), ReaderOptions);
        var headers = ToList(response.Headers);
        headers.AddRange(ToList(response.Content.Headers));
        return new ResponseHead((int)response.StatusCode, headers);
    }

    public void Close()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        _content.Abort();
        // The send may still be on its way to fail, or to succeed unseen.
        _response.ContinueWith(static sent =>
        {
            if (sent.IsCompletedSuccessfully)
                sent.Result.Dispose();
            else
                _ = sent.Exception;
        }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        _reader?.CancelPendingRead();
    }

    private static HeaderList ToList(HttpHeaders headers)
    {
        var list = new HeaderList();
        foreach (var (name, values) in headers.NonValidated)
            foreach (var value in values)
                list.Add(name.ToLowerInvariant(), value);
        return list;
    }
}
