using System.Runtime.CompilerServices;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Client;

/// <summary>A client's call with its messages; all call shapes are made of it.</summary>
internal sealed class MessageCall<TRequest, TResponse> : ClientCall, IMessageReader<TResponse>, IMessageWriter<TRequest>
{
    private const string UserAgent = "grok1cluster-grpc/1";
    private const int Idle = 0, Writing = 1, Completed = 2;

    private readonly GrpcMethod<TRequest, TResponse> _method;
    private readonly GrpcChannelOptions _limits;
    private readonly Task<IClientStream> _opened;
    private LengthPrefixedReader<TResponse>? _reader;
    private LengthPrefixedWriter<TRequest>? _writer;
    private int _writeState;

    public MessageCall(
        IClientTransport transport, GrpcMethod<TRequest, TResponse> method, GrpcChannelOptions limits, GrpcCallOptions options,
        bool sendHeadersAtOnce, CancellationToken channelClosed, CancellationToken caller)
        : base(transport, options.Timeout, limits.TimeProvider, channelClosed, caller)
    {
        _method = method;
        _limits = limits;
        _opened = OpenAsync(method.Path, RequestHeaders(options), sendHeadersAtOnce, options.Scheduling);
        ResponseHeaders = Observed(ReceiveHeadersAsync());
    }

    public override Task<Metadata> ResponseHeaders { get; }

    public TResponse Current => _reader!.Current;

    /// <summary>Sends the one request and waits for the one response.</summary>
    public Task<TResponse> ExchangeAsync(TRequest request) => Observed(SendAndReceiveAsync(request));

    /// <summary>
    /// Sends the one request of a call whose client does not stream. Never throws: where it fails, the response tells why, be it
    /// that the server has answered before it had read everything.
    /// </summary>
    public async Task SendSingleAsync(TRequest request)
    {
        try
        {
            await WriteAsync(request, CancellationToken.None);
            await CompleteAsync(CancellationToken.None);
        }
        catch (Exception fault) when (fault is RpcException or OperationCanceledException or InvalidOperationException)
        {
        }
    }

    /// <summary>Waits for the one response of a call whose client streams.</summary>
    public Task<TResponse> ReceiveResponseAsync() => Observed(ReceiveSingleAsync());

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteAsync(TRequest message, CancellationToken cancellationToken)
    {
        Claim(Writing);
        try
        {
            var stream = await _opened.WaitAsync(cancellationToken);
            if (HasEnded)
                throw EndedEarly();
            Serialise(stream, message);
            await FlushAsync(stream, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            End(Cancelled("a write was cancelled"), []);
            throw;
        }
        finally
        {
            Volatile.Write(ref _writeState, Idle);
        }
    }

    /// <summary>Tells the server that no more requests follow.</summary>
    public async ValueTask CompleteAsync(CancellationToken cancellationToken)
    {
        Claim(Completed);
        (await _opened.WaitAsync(cancellationToken)).CompleteRequest();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> MoveNextAsync(CancellationToken cancellationToken)
    {
        await ResponseHeaders.WaitAsync(cancellationToken);
        if (HasEnded)
            return EndOfMessages();
        try
        {
            if (await _reader!.ReadAsync(cancellationToken))
                return true;
            EndByTrailers(_opened.Result.Trailers);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested && !HasEnded)
        {
            throw;
        }
        catch (RpcException malformed)
        {
            End(malformed.Status, []);
        }
        catch (Exception fault)
        {
            EndBy(fault);
        }
        // No read is or will be under way: the buffers can go back.
        _opened.Result.Response.Complete();
        return EndOfMessages();
    }

    private async Task<TResponse> SendAndReceiveAsync(TRequest request)
    {
        await SendSingleAsync(request);
        return await ReceiveSingleAsync();
    }

    /// <summary>The one response of a call whose server does not stream.</summary>
    private async Task<TResponse> ReceiveSingleAsync()
    {
        if (!await MoveNextAsync(CancellationToken.None))
            throw new RpcException(GrpcStatusCode.Internal, "the server ended the call with OK but sent no message");
        var response = Current;
        if (!await MoveNextAsync(CancellationToken.None))
            return response;
        End(new GrpcStatus(GrpcStatusCode.Internal, "the server sent more than one message"), []);
        throw Failure();
    }

    private static HeaderList RequestHeaders(GrpcCallOptions options)
    {
        var headers = new HeaderList();
        headers.Add(HeaderNames.ContentType, HeaderNames.GrpcContentType);
        headers.Add(HeaderNames.Te, HeaderNames.Trailers);
        headers.Add(HeaderNames.UserAgent, UserAgent);
        headers.Add(HeaderNames.AcceptEncoding, HeaderNames.Identity);
        if (options.Timeout is { } timeout)
            headers.Add(HeaderNames.Timeout, TimeoutEncoding.Encode(timeout));
        if (options.Headers is { } metadata)
            MetadataEncoding.Append(metadata, headers);
        return headers;
    }

    /// <summary>Looks at the head of the response as soon as it is there, so that a refusal ends the call whether or not anyone reads.</summary>
    private async Task<Metadata> ReceiveHeadersAsync()
    {
        var stream = await _opened;
        try
        {
            var head = await stream.ReceiveHeadAsync();
            if (StatusEncoding.Read(head.Headers) is { } status)
                End(status, MetadataEncoding.Read(head.Headers));
            else if (head.HttpStatus != 200)
                End(new GrpcStatus(HttpErrorMapping.FromHttpStatus(head.HttpStatus), $"the server answered with HTTP status {head.HttpStatus}"), []);
            else if (head.Headers.Find(HeaderNames.ContentType) is var type && !HeaderNames.IsGrpc(type))
                End(new GrpcStatus(GrpcStatusCode.Unknown, $"the server answered with content type '{type}', which is not gRPC's"), []);
            else
            {
                _reader = new(stream.Response, _method.Response, _limits.MaxReceiveMessageBytes, head.Headers.Find(HeaderNames.Encoding));
                return MetadataEncoding.Read(head.Headers);
            }
        }
        catch (RpcException malformed)
        {
            End(malformed.Status, []);
        }
        catch (Exception fault)
        {
            EndBy(fault);
        }
        return Completion.Result.Code == GrpcStatusCode.Ok ? ResponseTrailers : throw Failure();
    }

    private void EndByTrailers(HeaderList trailers)
    {
        var status = StatusEncoding.Read(trailers) ?? new GrpcStatus(GrpcStatusCode.Unknown, "the server ended the call without a status");
        End(status, MetadataEncoding.Read(trailers));
    }

    private bool EndOfMessages() => Completion.Result.Code == GrpcStatusCode.Ok ? false : throw Failure();

    private void Serialise(IClientStream stream, TRequest message)
    {
        try
        {
            _writer ??= new(stream.Request, _method.Request, _limits.MaxSendMessageBytes);
            _writer.Write(message);
        }
        catch (Exception fault)
        {
            End(fault is RpcException rpc ? rpc.Status : new GrpcStatus(GrpcStatusCode.Internal, fault.Message), []);
            throw;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask FlushAsync(IClientStream stream, CancellationToken cancellationToken)
    {
        try
        {
            var flush = await stream.Request.FlushAsync(cancellationToken);
            if (!flush.IsCanceled)
                return;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception fault)
        {
            // The server takes no more; its status, if it sent one, comes to the reader.
            if (!HasEnded)
                throw Failure(Explain(fault), []);
        }
        throw EndedEarly();
    }

    private Exception EndedEarly() => Completion.Result.Code == GrpcStatusCode.Ok
        ? new RpcException(GrpcStatusCode.Cancelled, "the server has ended the call and takes no more messages")
        : Failure();

    private void Claim(int state)
    {
        var found = Interlocked.CompareExchange(ref _writeState, state, Idle);
        if (found != Idle)
            throw new InvalidOperationException(found == Writing ? "another write is under way" : "the requests have been completed");
    }
}
