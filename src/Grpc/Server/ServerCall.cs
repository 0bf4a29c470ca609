using System.Runtime.CompilerServices;
using Grok1Cluster.Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Grpc.Server;

/// <summary>One call under way on the server: its messages, its deadline and how it ends.</summary>
internal sealed class ServerCall<TRequest, TResponse> : IMessageReader<TRequest>, IMessageWriter<TResponse>, IDisposable
{
    private const int Idle = 0, Writing = 1, Ended = 2;

    private readonly IServerStream _stream;
    private readonly ServerCallOptions _options;
    private readonly LengthPrefixedReader<TRequest> _reader;
    private readonly LengthPrefixedWriter<TResponse> _writer;
    // Never disposed: a late timer may still cancel it, and without a timer of its own it holds nothing.
    private readonly CancellationTokenSource _cancelled = new();
    private readonly CancellationTokenRegistration _onAborted;
    private readonly CancellationTokenRegistration _onCancelled;

    private CallDeadline? _deadline;
    private ServerCallContext? _context;
    private GrpcStatus _status = GrpcStatus.Ok;
    private Metadata? _faultTrailers;
    private bool _headSet;
    private bool _cutShort;
    private int _writeState;

    public ServerCall(IServerStream stream, GrpcMethod<TRequest, TResponse> method, ServerCallOptions options)
    {
        _stream = stream;
        _options = options;
        _reader = new(stream.Request, method.Request, options.MaxReceiveMessageBytes, stream.RequestHeaders.Find(HeaderNames.Encoding));
        _writer = new(stream.Response, method.Response, options.MaxSendMessageBytes);
        _onCancelled = _cancelled.Token.UnsafeRegister(static call => ((ServerCall<TRequest, TResponse>)call!).WakePending(), this);
        _onAborted = stream.Aborted.UnsafeRegister(static call => ((ServerCall<TRequest, TResponse>)call!).Cancel(), this);
    }

    public TRequest Current => _reader.Current;

    /// <summary>Reads the request's headers and starts the deadline.</summary>
    /// <exception cref="RpcException">A header is malformed.</exception>
    public ServerCallContext Open()
    {
        var metadata = MetadataEncoding.Read(_stream.RequestHeaders);
        if (_stream.RequestHeaders.Find(HeaderNames.Timeout) is { } text)
        {
            if (!TimeoutEncoding.TryDecode(text, out var timeout))
                throw new RpcException(GrpcStatusCode.Internal, $"the header {HeaderNames.Timeout} is malformed: '{text}'");
            _deadline = new CallDeadline(timeout, _options.TimeProvider, Cancel);
        }
        return _context = new ServerCallContext(_stream, metadata, _deadline?.At, _cancelled.Token);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> MoveNextAsync(CancellationToken cancellationToken)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        try
        {
            return await _reader.ReadAsync(cancellationToken);
        }
        catch (IOException)
        {
            // The client has reset the stream; the transport's own signal may follow a little later.
            Cancel();
            throw new OperationCanceledException("the client is gone", _cancelled.Token);
        }
    }

    /// <summary>The one request of a call whose client does not stream.</summary>
    public async ValueTask<TRequest> ReadSingleAsync()
    {
        if (!await MoveNextAsync(CancellationToken.None))
            throw new RpcException(GrpcStatusCode.Internal, "the call has no request message");
        var request = _reader.Current;
        if (await MoveNextAsync(CancellationToken.None))
            throw new RpcException(GrpcStatusCode.Internal, "the call has more than one request message");
        return request;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public async ValueTask WriteAsync(TResponse message, CancellationToken cancellationToken)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        var state = Interlocked.CompareExchange(ref _writeState, Writing, Idle);
        if (state != Idle)
            throw new InvalidOperationException(state == Writing ? "another write is under way" : "the call has ended: its handler has returned");
        try
        {
            WriteSingle(message);
            var flush = await _stream.Response.FlushAsync(cancellationToken);
            if (flush.IsCanceled || flush.IsCompleted)
                throw new OperationCanceledException("the call was ended while a message was sent", _cancelled.Token);
        }
        catch (OperationCanceledException)
        {
            _cutShort = true;
            Cancel();
            throw;
        }
        finally
        {
            Volatile.Write(ref _writeState, Idle);
        }
    }

    /// <summary>Writes the last message, which the end of the call flushes.</summary>
    public void WriteSingle(TResponse message)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        SetHead();
        try
        {
            _writer.Write(message);
        }
        catch (Exception fault) when (fault is not RpcException)
        {
            _cutShort = true;
            throw;
        }
    }

    /// <summary>Turns what the handler threw into the status of the call.</summary>
    public void Fail(Exception fault)
    {
        switch (fault)
        {
            case RpcException rpc:
                _status = rpc.Status;
                _faultTrailers = rpc.Trailers;
                break;
            case OperationCanceledException when _cancelled.IsCancellationRequested:
                _status = new GrpcStatus(GrpcStatusCode.Cancelled, "the call was cancelled");
                break;
            case OperationCanceledException when _stream.Stopping.IsCancellationRequested:
                _status = new GrpcStatus(GrpcStatusCode.Unavailable, "the server is stopping");
                break;
            default:
                ServerLog.HandlerFailed(_options.LoggerFactory.CreateLogger<ServerCallContext>(), _stream.Path, fault);
                _status = new GrpcStatus(GrpcStatusCode.Unknown, "the handler failed; the server's log has the cause");
                break;
        }
    }

    /// <summary>Hands the status to the transport.</summary>
    public void End()
    {
        // A handler that leaves a write behind would have it run into the next user of the transport's buffers.
        var writeLeftBehind = Interlocked.Exchange(ref _writeState, Ended) == Writing;
        if (_stream.Aborted.IsCancellationRequested)
            return;
        if (_deadline is { HasPassed: true })
            _status = new GrpcStatus(GrpcStatusCode.DeadlineExceeded, "the deadline has passed");
        if (writeLeftBehind || _cutShort)
        {
            _stream.Reset();
            return;
        }
        var trailers = new HeaderList();
        StatusEncoding.Append(_status, _faultTrailers ?? [], trailers);
        if (_context is not null)
            MetadataEncoding.Append(_context.ResponseTrailers, trailers);
        if (!_headSet)
            _stream.SetResponseHead(StatusCodes.Status200OK, Head(trailers));
        else
            _stream.SetTrailers(trailers);
    }

    public void Dispose()
    {
        _deadline?.Dispose();
        // Waits for callbacks that are running: afterwards nothing of this call touches the transport.
        _onAborted.Dispose();
        _onCancelled.Dispose();
    }

    private void SetHead()
    {
        if (_headSet)
            return;
        _headSet = true;
        _stream.SetResponseHead(StatusCodes.Status200OK, Head([]));
    }

    private HeaderList Head(HeaderList trailersOnly)
    {
        var head = new HeaderList();
        head.Add(HeaderNames.ContentType, HeaderNames.GrpcContentType);
        head.Add(HeaderNames.AcceptEncoding, HeaderNames.Identity);
        if (_context is not null)
            MetadataEncoding.Append(_context.ResponseHeaders, head);
        head.AddRange(trailersOnly);
        return head;
    }

    /// <summary>Callbacks that applications have registered run elsewhere, so that their faults stay out of timers and transports.</summary>
    private void Cancel() => _ = _cancelled.CancelAsync();

    private void WakePending()
    {
        _stream.Request.CancelPendingRead();
        _stream.Response.CancelPendingFlush();
    }
}
