using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Client;

/// <summary>How a client's call ends: once, by whichever comes first of the server's status, a fault, the deadline, the caller or the channel.</summary>
internal abstract class ClientCall : IDisposable
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource<GrpcStatus> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    // Never disposed: the transport may still look at its token, and without a timer of its own it holds nothing.
    private readonly CancellationTokenSource _ended = new();
    private readonly IClientTransport _transport;
    private readonly CancellationToken _caller;
    private readonly CancellationTokenRegistration _onCallerCancelled;
    private readonly CancellationTokenRegistration _onChannelClosed;
    private readonly CallDeadline? _deadline;
    private IClientStream? _stream;

    protected ClientCall(IClientTransport transport, TimeSpan? timeout, TimeProvider time, CancellationToken channelClosed, CancellationToken caller)
    {
        _transport = transport;
        _caller = caller;
        if (timeout is { } left)
            _deadline = new CallDeadline(left, time, () => End(DeadlineExceeded, []));
        _onCallerCancelled = caller.UnsafeRegister(static call => ((ClientCall)call!).End(Cancelled("the caller has cancelled the call"), []), this);
        _onChannelClosed = channelClosed.UnsafeRegister(static call => ((ClientCall)call!).End(Cancelled("the channel was closed"), []), this);
        if (HasEnded)
            ReleaseTriggers();
    }

    /// <summary>See <see cref="GrpcCall.ResponseHeaders"/>.</summary>
    public abstract Task<Metadata> ResponseHeaders { get; }

    /// <summary>See <see cref="GrpcCall.Completion"/>.</summary>
    public Task<GrpcStatus> Completion => _completion.Task;

    /// <summary>See <see cref="GrpcCall.ResponseTrailers"/>.</summary>
    public Metadata ResponseTrailers { get; private set; } = [];

    /// <summary>Whether the call is over.</summary>
    protected bool HasEnded => _completion.Task.IsCompleted;

    private static GrpcStatus DeadlineExceeded { get; } = new(GrpcStatusCode.DeadlineExceeded, "the deadline has passed");

    /// <summary>Cancels the call unless it has ended.</summary>
    public void Dispose() => End(Cancelled("the call was disposed"), []);

    /// <summary>Ends the call unless it has ended, and lets go of its stream.</summary>
    protected void End(GrpcStatus status, Metadata trailers)
    {
        IClientStream? stream;
        lock (_gate)
        {
            if (HasEnded)
                return;
            ResponseTrailers = trailers;
            _completion.SetResult(status);
            stream = _stream;
        }
        ReleaseTriggers();
        if (status.Code != GrpcStatusCode.Ok)
            _ended.Cancel();
        stream?.Close();
    }

    /// <summary>Ends the call, unless it has ended, by a fault of the transport.</summary>
    protected void EndBy(Exception fault) => End(Explain(fault), []);

    /// <summary>What a fault of the transport means. Past the deadline it is the deadline: peers reset late calls.</summary>
    protected GrpcStatus Explain(Exception fault) => _deadline is { HasPassed: true } ? DeadlineExceeded : _transport.Explain(fault);

    /// <summary>The exception that tells how the call ended, for one that did not end well.</summary>
    protected Exception Failure() => Failure(_completion.Task.Result, ResponseTrailers);

    /// <summary>The exception that tells a status; the caller's own cancellation is no fault of the call.</summary>
    protected Exception Failure(GrpcStatus status, Metadata trailers) => status.Code == GrpcStatusCode.Cancelled && _caller.IsCancellationRequested
        ? new OperationCanceledException(status.Message, _caller)
        : new RpcException(status, trailers);

    /// <summary>Opens the stream of the call.</summary>
    protected async Task<IClientStream> OpenAsync(string path, HeaderList headers, bool sendHeadersAtOnce, MessageScheduling scheduling)
    {
        try
        {
            _ended.Token.ThrowIfCancellationRequested();
            var stream = await _transport.OpenAsync(path, headers, sendHeadersAtOnce, scheduling, _ended.Token);
            lock (_gate)
                _stream = stream;
            if (!HasEnded)
                return stream;
            stream.Close();
        }
        catch (Exception fault)
        {
            EndBy(fault);
        }
        throw Failure();
    }

    /// <summary>Keeps a task that nobody may ever await from being reported as an unobserved fault.</summary>
    protected static Task<T> Observed<T>(Task<T> task)
    {
        task.ContinueWith(static done => _ = done.Exception, CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return task;
    }

    protected static GrpcStatus Cancelled(string why) => new(GrpcStatusCode.Cancelled, why);

    private void ReleaseTriggers()
    {
        _deadline?.Dispose();
        _onCallerCancelled.Unregister();
        _onChannelClosed.Unregister();
    }
}
