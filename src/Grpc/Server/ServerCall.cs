using System.Runtime.CompilerServices;
using Grok1Cluster.Grpc.Wire;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grok1Cluster.Grpc.Server;

/// <summary>One call under way on the server: its messages, its deadline and how it ends.</summary>
internal sealed class ServerCall<TRequest, TResponse> : IMessageReader<TRequest>, IMessageWriter<TResponse>, IDisposable
{
    private const int Idle = 0, Writing = 1, Ended = 2;

    private static readonly GrpcStatus DeadlinePassed = new(GrpcStatusCode.DeadlineExceeded, "the deadline has passed");

    private readonly IServerStream _stream;
    private readonly ServerCallOptions _options;
    private readonly LengthPrefixedReader<TRequest> _reader;
    private readonly LengthPrefixedWriter<TResponse> _writer;
    // Never disposed: a late timer may still cancel it, and without a timer of its own it holds nothing.
    private readonly CancellationTokenSource _cancelled = new();
    private readonly CancellationTokenRegistration _onAborted;
    private readonly CancellationTokenRegistration _onCancelled;

    private CallDeadline? _deadline;

    /// <summary>Completes when the deadline has ended the call and is off the transport; null without a deadline.</summary>
    private TaskCompletionSource? _cutOff;
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
            _cutOff = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _deadline = new CallDeadline(timeout, _options.TimeProvider, OnDeadline);
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
            throw state == Writing ? new InvalidOperationException("another write is under way") : Over();
        try
        {
            Append(message);
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
            EndWrite();
        }
    }

    /// <summary>Writes the last message, which the end of the call flushes.</summary>
    public void WriteSingle(TResponse message)
    {
        _cancelled.Token.ThrowIfCancellationRequested();
        if (Interlocked.CompareExchange(ref _writeState, Writing, Idle) != Idle)
            throw Over();
        try
        {
            Append(message);
        }
        finally
        {
            EndWrite();
        }
    }

    private void Append(TResponse message)
    {
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

    /// <summary>Hands the status to the transport, unless the deadline has done so.</summary>
    public Task EndAsync()
    {
        // A handler that leaves a write behind would have it run into the next user of the transport's buffers.
        var before = Interlocked.Exchange(ref _writeState, Ended);
        if (before == Ended)
            return _cutOff!.Task;
        End(writeLeftBehind: before == Writing);
        return Task.CompletedTask;
    }

    private void End(bool writeLeftBehind)
    {
        if (_stream.Aborted.IsCancellationRequested)
            return;
        if (_deadline is { HasPassed: true })
            _status = DeadlinePassed;
        if (writeLeftBehind || _cutShort)
        {
            _stream.Reset();
            return;
        }
        var trailers = new HeaderList();
        StatusEncoding.Append(_status, _faultTrailers ?? [], trailers);
        if (_context is not null)
            MetadataEncoding.Append(_context.ResponseTrailers, trailers);
        if (_headSet)
            _stream.SetTrailers(trailers);
        else
            _stream.SetResponseHead(StatusCodes.Status200OK, Head(trailers));
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

    private HeaderList Head(HeaderList trailersOnly, bool withMetadata = true)
    {
        var head = new HeaderList();
        head.Add(HeaderNames.ContentType, HeaderNames.GrpcContentType);
        head.Add(HeaderNames.AcceptEncoding, HeaderNames.Identity);
        if (withMetadata && _context is not null)
            MetadataEncoding.Append(_context.ResponseHeaders, head);
        head.AddRange(trailersOnly);
        return head;
    }

    private void OnDeadline()
    {
        Cancel();
        _ = CutOffAsync();
    }

    private void EndWrite()
    {
        Volatile.Write(ref _writeState, Idle);
        if (_deadline is { HasFired: true })
            _ = CutOffAsync();
    }

    /// <summary>
    /// The client has its answer at the deadline, whether or not the handler looks at it; a write under way is cancelled first. The
    /// handler's own metadata is left alone: it may be changing it.
    /// </summary>
    private async Task CutOffAsync()
    {
        if (Interlocked.CompareExchange(ref _writeState, Ended, Idle) != Idle)
            return;
        try
        {
            if (_stream.Aborted.IsCancellationRequested)
                return;
            if (_cutShort)
            {
                _stream.Reset();
                return;
            }
            var trailers = new HeaderList();
            StatusEncoding.Append(DeadlinePassed, [], trailers);
            if (_headSet)
                _stream.SetTrailers(trailers);
            else
                _stream.SetResponseHead(StatusCodes.Status200OK, Head(trailers, withMetadata: false));
            await _stream.EndResponseAsync();
        }
        catch (Exception fault) when (fault is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The client is gone, which is what its own deadline would have done.
        }
        finally
        {
            _cutOff!.SetResult();
        }
    }

    private Exception Over() => _deadline is { HasPassed: true } ? new OperationCanceledException("the deadline has passed", _cancelled.Token)
        : new InvalidOperationException("the call has ended: its handler has returned");

    /// <summary>Callbacks that applications have registered run elsewhere, so that their faults stay out of timers and transports.</summary>
    private void Cancel() => _ = _cancelled.CancelAsync();

    private void WakePending()
    {
        _stream.Request.CancelPendingRead();
        _stream.Response.CancelPendingFlush();
    }
}
