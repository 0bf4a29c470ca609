using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Client;

/// <summary>Streams on the runtime's own HTTP/2 client.</summary>
internal sealed class HttpTransport : IClientTransport
{
    private readonly HttpMessageInvoker _invoker;
    private readonly Uri _root;

    public HttpTransport(GrpcAddress address, GrpcChannelOptions options)
    {
        _root = new Uri($"{(options.Tls is null ? "http" : "https")}://{address.UriHost}:{(address.UnixPath is null ? address.Port : 80)}");
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
            AutomaticDecompression = DecompressionMethods.None,
            EnableMultipleHttp2Connections = true,
            ConnectTimeout = options.ConnectTimeout,
            InitialHttp2StreamWindowSize = options.StreamWindowBytes,
            KeepAlivePingDelay = options.KeepAlivePingDelay,
            KeepAlivePingTimeout = options.KeepAlivePingTimeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        };
        if (options.Tls is { } tls)
            handler.SslOptions = tls();
        if (address.UnixPath is { } path)
            handler.ConnectCallback = (_, cancellationToken) => ConnectUnixAsync(path, cancellationToken);
        _invoker = new HttpMessageInvoker(handler);
    }

    public async ValueTask<IClientStream> OpenAsync(
        string path, HeaderList headers, bool sendHeadersAtOnce, MessageScheduling scheduling, CancellationToken cancellationToken)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_root, path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new HttpRequestStream(sendHeadersAtOnce),
        };
        foreach (var (name, value) in headers)
            (name == HeaderNames.ContentType ? request.Content.Headers : (System.Net.Http.Headers.HttpHeaders)request.Headers).TryAddWithoutValidation(name, value);
        return await HttpClientStream.OpenAsync(_invoker, request, cancellationToken);
    }

    public GrpcStatus Explain(Exception fault)
    {
        for (Exception? cause = fault; cause is not null; cause = cause.InnerException)
            if (cause is HttpProtocolException protocol)
                return new GrpcStatus(HttpErrorMapping.FromHttp2Error(protocol.ErrorCode), fault.Message);
        return fault switch
        {
            OperationCanceledException or ObjectDisposedException => new GrpcStatus(GrpcStatusCode.Cancelled, "the call was cancelled"),
            HttpRequestException or IOException or SocketException or AuthenticationException =>
                new GrpcStatus(GrpcStatusCode.Unavailable, $"{_root.Authority}: {fault.Message}"),
            _ => new GrpcStatus(GrpcStatusCode.Internal, fault.Message),
        };
    }

    public void Dispose() => _invoker.Dispose();

    private static async ValueTask<Stream> ConnectUnixAsync(string path, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
