using System.Diagnostics;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>The connection to one worker: a stream of calls out, results in, matched by id. Thread-safe.</summary>
public sealed class WorkerConnection : IAsyncDisposable
{
    private static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StatusTimeout = TimeSpan.FromSeconds(5);

    private readonly GrpcChannel _channel;
    private readonly DuplexStreamingCall<ProcessRequest, ProcessResponse> _stream;
    private readonly SemaphoreSlim _writing = new(1, 1);
    private readonly Dictionary<ulong, PendingCall> _pending = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _reading;
    private ulong _lastId;
    private DispatchException? _lost;

    private WorkerConnection(string address, DescribeResponse description, GrpcChannel channel, DuplexStreamingCall<ProcessRequest, ProcessResponse> stream)
    {
        (Address, Description, _channel, _stream) = (address, description, channel, stream);
        _reading = ReadAllAsync();
    }

    public string Address { get; }

    /// <summary>What the worker said of itself when the connection was made.</summary>
    public DescribeResponse Description { get; }

    public string Id => Description.WorkerId;

    /// <summary>Whether the connection broke; calls then fail at once.</summary>
    public bool IsLost => Volatile.Read(ref _lost) is not null;

    /// <summary>Connects and asks the worker what it holds.</summary>
    /// <exception cref="RpcException">It cannot be reached, or did not answer in time.</exception>
    public static async Task<WorkerConnection> ConnectAsync(string address, CancellationToken cancel)
    {
        var channel = new GrpcChannel(address, new GrpcChannelOptions
        {
            MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes,
            KeepAlivePingDelay = TimeSpan.FromSeconds(5),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(10),
        });
        try
        {
            var description = await channel.UnaryAsync(ExpertMethods.Describe, new DescribeRequest(), GrpcCallOptions.After(DescribeTimeout), cancel);
            // The stream lives as long as the connection; each call on it has its own deadline.
            var stream = channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.Endless, CancellationToken.None);
            return new WorkerConnection(address, description, channel, stream);
        }
        catch
        {
            channel.Dispose();
            throw;
        }
    }

    /// <summary>Sends a call, whose id is set here, and waits for its result.</summary>
    /// <param name="call">The call.</param>
    /// <param name="times">Filled with what is measured here.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="DispatchException">The worker is lost, or refused the call.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the worker is told.</exception>
    public async Task<ExpertResult> CallAsync(ExpertCall call, CallTimes times, CancellationToken cancel)
    {
        var completion = new TaskCompletionSource<ExpertResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_pending)
        {
            if (_lost is not null)
                throw _lost;
            call.Id = ++_lastId;
            _pending.Add(call.Id, new PendingCall(completion, times));
        }
        try
        {
            var request = new ProcessRequest { Call = call };
            times.SentBytes = request.CalculateSize();
            await WriteAsync(request);
            times.Sent = Stopwatch.GetTimestamp();
            return await completion.Task.WaitAsync(cancel);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            await WriteAsync(new ProcessRequest { Cancel = new CancelCall { Id = call.Id } });
            throw;
        }
        finally
        {
            lock (_pending)
                _pending.Remove(call.Id);
        }
    }

    /// <summary>Asks the worker how it is, beside the calls; the time of the answer is the round trip.</summary>
    /// <exception cref="RpcException">No answer in time; a worker of an older version does not know the question.</exception>
    public Task<StatusResponse> StatusAsync(CancellationToken cancel) =>
        _channel.UnaryAsync(ExpertMethods.Status, new StatusRequest(), GrpcCallOptions.After(StatusTimeout), cancel);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        _stream.Dispose();
        await _reading;
        _channel.Dispose();
        _closing.Dispose();
        _writing.Dispose();
    }

    private async Task WriteAsync(ProcessRequest request)
    {
        await _writing.WaitAsync(_closing.Token);
        try
        {
            await _stream.WriteAsync(request, _closing.Token);
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            throw Lose(e);
        }
        finally
        {
            _writing.Release();
        }
    }

    private async Task ReadAllAsync()
    {
        try
        {
            while (await _stream.Responses.MoveNextAsync(_closing.Token))
                Complete(_stream.Responses.Current);
            Lose(new RpcException(GrpcStatusCode.Unavailable, "the worker ended its stream"));
        }
        catch (Exception e)
        {
            Lose(e);
        }
    }

    private void Complete(ProcessResponse response)
    {
        if (response.KindCase == ProcessResponse.KindOneofCase.Result)
        {
            if (Take(response.Result.Id) is not { } answered)
                return;
            answered.Times.Received = Stopwatch.GetTimestamp();
            answered.Completion.TrySetResult(response.Result);
            return;
        }
        var failure = response.Failure;
        Take(failure?.Id ?? 0)?.Completion.TrySetException(new DispatchException($"worker {Id} at {Address} refused a call ({failure!.Reason}): {failure.Message}"));
    }

    private PendingCall? Take(ulong id)
    {
        lock (_pending)
            return _pending.Remove(id, out var call) ? call : null;
    }

    /// <summary>Ends every call that waits: nothing more will come.</summary>
    private DispatchException Lose(Exception cause)
    {
        TaskCompletionSource<ExpertResult>[] waiting;
        lock (_pending)
        {
            _lost ??= new DispatchException($"worker {Id} at {Address} (process {Description.ProcessId}) is lost: {(cause as RpcException)?.Status.Message ?? cause.Message}", cause);
            waiting = [.. _pending.Values.Select(call => call.Completion)];
            _pending.Clear();
        }
        foreach (var completion in waiting)
            completion.TrySetException(_lost);
        return _lost;
    }

    private readonly record struct PendingCall(TaskCompletionSource<ExpertResult> Completion, CallTimes Times);
}
