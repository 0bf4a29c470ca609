using System.Diagnostics;
using System.Security.Authentication;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Protos.Cluster.V1;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>Where the answer to a call goes. Called by the connection's thread, which must not be held up.</summary>
internal interface ICallTarget
{
    /// <summary>The frame that was sent, which stays as it is until the answer has come or the connection is lost.</summary>
    CallFrame Frame { get; }

    /// <param name="result">The answer, which may be a failure; to be given back to <see cref="WorkerConnection.Return"/>.</param>
    void OnAnswer(ResultFrame result);

    /// <summary>No answer will come: the connection broke.</summary>
    void OnLost(DispatchException cause);
}

/// <summary>The connection to one worker: a stream of calls out, answers in, matched by id. Thread-safe.</summary>
public sealed class WorkerConnection : IAsyncDisposable
{
    private const int KeptFrames = 16;
    private static readonly TimeSpan DescribeTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StatusTimeout = TimeSpan.FromSeconds(5);

    /// <summary>A worker that is silent for so long is asked whether it lives.</summary>
    private static readonly TimeSpan PingDelay = TimeSpan.FromMilliseconds(200);

    /// <summary>Without an answer for so long it is lost.</summary>
    private static readonly TimeSpan PingTimeout = TimeSpan.FromMilliseconds(600);

    private readonly GrpcChannel _channel;
    private readonly DuplexStreamingCall<CallFrame, ResultFrame> _stream;
    private readonly SendQueue<CallFrame> _calls;
    private readonly FramePool<ResultFrame> _results;
    private readonly Dictionary<ulong, ICallTarget> _open = [];
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _reading;
    private bool _disposed;
    private ulong _lastId;
    private int _holds;
    private DispatchException? _lost;
    private Said _said;
    private long _lostAt;

    private WorkerConnection(string address, DescribeResponse description, GrpcChannel channel, DuplexStreamingCall<CallFrame, ResultFrame> stream, FramePool<ResultFrame> results)
    {
        (Address, _channel, _stream, _results) = (address, channel, stream, results);
        _said = new Said(description, new HeldColumns(description.Tiles));
        _calls = new SendQueue<CallFrame>(stream, static _ => { }, Lose, _closing.Token);
        _reading = ReadAllAsync();
    }

    public string Address { get; }

    /// <summary>What the worker said of itself, when the connection was made or when it was asked again.</summary>
    public DescribeResponse Description => Volatile.Read(ref _said).Description;

    /// <summary>What can be asked for.</summary>
    internal HeldColumns Held => Volatile.Read(ref _said).Held;

    public string Id => Description.WorkerId;

    /// <summary>The shortest of a few questions and answers when the connection was made.</summary>
    public TimeSpan RoundTrip { get; private init; }

    /// <summary>Whether the connection broke; calls then fail at once.</summary>
    public bool IsLost => Volatile.Read(ref _lost) is not null;

    /// <summary>When it broke, by the monotonic clock; null while it stands.</summary>
    public long? LostAt => IsLost ? Volatile.Read(ref _lostAt) : null;

    /// <summary>Whether the worker is drained: it serves until others have what it holds.</summary>
    internal bool IsLeaving { get; set; }

    /// <summary>lost, draining, joining (it brings its first tiles into memory) or ready.</summary>
    public string State => IsLost ? "lost" : IsLeaving ? "draining" : Volatile.Read(ref _holds) > 0 && Description.Tiles.Count == 0 ? "joining" : "ready";

    /// <summary>Completes when the connection broke.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Whether no call waits for its answer.</summary>
    internal bool IsIdle
    {
        get
        {
            lock (_open)
                return _open.Count == 0;
        }
    }

    /// <summary>What this coordinator shows to the worker; null in clear.</summary>
    internal NodeCredentials? Tls { get; private init; }

    /// <summary>Connects and asks the worker what it holds.</summary>
    /// <param name="address">Where it is.</param>
    /// <param name="tls">What to show it, and whom to trust; null in clear.</param>
    /// <param name="id">Who it must be by its certificate; null where that is not known yet.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="RpcException">It cannot be reached, or did not answer in time.</exception>
    /// <exception cref="AuthenticationException">Its certificate is not that of the worker that it should be.</exception>
    public static async Task<WorkerConnection> ConnectAsync(string address, NodeCredentials? tls, string? id, CancellationToken cancel)
    {
        var check = new PeerCheck(NodeRole.Worker, id);
        var channel = new GrpcChannel(address, new GrpcChannelOptions
        {
            Tls = tls is null ? null : () => tls.Client(check),
            MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes,
            KeepAlivePingDelay = PingDelay,
            KeepAlivePingTimeout = PingTimeout,
        });
        try
        {
            var description = await channel.UnaryAsync(ExpertMethods.Describe, new DescribeRequest(), GrpcCallOptions.After(DescribeTimeout), cancel);
            if (!WorkerIds.IsId(description.WorkerId))
                throw new RpcException(GrpcStatusCode.FailedPrecondition, $"the worker at {address} has an id that cannot be used; give it an --id of {WorkerIds.Allowed}");
            if (!ExpertMethods.IsCompatible(description.Protocol))
                throw new RpcException(GrpcStatusCode.FailedPrecondition,
                    $"worker {description.WorkerId} (version {description.Version}) speaks protocol {description.Protocol}, this coordinator {ExpertMethods.Protocol}; they may be one apart: upgrade the older");
            if (tls is not null && check.Peer?.Id != description.WorkerId)
                throw new AuthenticationException($"the worker at {address} calls itself {description.WorkerId}, and its certificate is that of {check.Peer}; give it the certificate of its --id");
            var roundTrip = await MeasureRoundTripAsync(channel, cancel);
            var results = new FramePool<ResultFrame>(KeptFrames);
            // The stream lives as long as the connection; each call on it has its own deadline.
            var stream = channel.DuplexStreaming(
                ExpertMethods.ProcessFrames(static CallFrame () => throw new NotSupportedException("a coordinator reads no calls"), results.Rent),
                new GrpcCallOptions { Scheduling = MessageScheduling.Inline }, CancellationToken.None);
            return new WorkerConnection(address, description, channel, stream, results) { RoundTrip = roundTrip, Tls = tls };
        }
        catch (RpcException e) when (check.Refusal is { } refusal)
        {
            channel.Dispose();
            throw new AuthenticationException($"the worker at {address} is refused: {refusal}", e);
        }
        catch
        {
            channel.Dispose();
            throw;
        }
    }

    /// <summary>By the health check, which every gRPC server of this project answers in a few bytes.</summary>
    private static async Task<TimeSpan> MeasureRoundTripAsync(GrpcChannel channel, CancellationToken cancel)
    {
        const int rounds = 5;
        var shortest = DescribeTimeout;
        for (var round = 0; round < rounds; round++)
        {
            var start = Stopwatch.GetTimestamp();
            await channel.IsServingAsync(HealthService.WholeServer, DescribeTimeout, cancel);
            var elapsed = Stopwatch.GetElapsedTime(start);
            shortest = elapsed < shortest ? elapsed : shortest;
        }
        return shortest;
    }

    /// <summary>Sends a call, whose id is set here. Never waits and never throws: what goes wrong is told to the target.</summary>
    internal void Send(ICallTarget target)
    {
        DispatchException? lost;
        lock (_open)
        {
            target.Frame.Id = ++_lastId;
            lost = _lost;
            if (lost is null)
                _open.Add(target.Frame.Id, target);
        }
        if (lost is not null)
            target.OnLost(lost);
        else
            _calls.Send(target.Frame);
    }

    /// <summary>Nobody waits for a call any more: its target hears nothing, and the worker is told.</summary>
    internal void Abandon(ICallTarget target)
    {
        lock (_open)
            if (!_open.Remove(target.Frame.Id))
                return;
        _calls.Send(new CallFrame { IsCancel = true, Id = target.Frame.Id });
    }

    /// <summary>Takes an answer back that was used.</summary>
    internal void Return(ResultFrame result) => _results.Return(result);

    /// <summary>Asks the worker again what it holds.</summary>
    /// <exception cref="RpcException">No answer in time.</exception>
    internal async Task RefreshAsync(CancellationToken cancel)
    {
        var description = await _channel.UnaryAsync(ExpertMethods.Describe, new DescribeRequest(), GrpcCallOptions.After(DescribeTimeout), cancel);
        Volatile.Write(ref _said, new Said(description, new HeldColumns(description.Tiles)));
    }

    /// <summary>Has the worker hold more; returns when it does.</summary>
    /// <param name="request">What, and where it may be had.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancel">Gives up; the worker stops soon after.</param>
    /// <exception cref="RpcException">It could not, or is lost.</exception>
    internal async Task HoldAsync(HoldRequest request, Action<HoldProgress> progress, CancellationToken cancel)
    {
        Interlocked.Increment(ref _holds);
        try
        {
            using var call = _channel.ServerStreaming(ControlMethods.Hold, request, GrpcCallOptions.Endless, cancel);
            while (await call.Responses.MoveNextAsync(cancel))
                progress(call.Responses.Current);
        }
        finally
        {
            Interlocked.Decrement(ref _holds);
        }
    }

    /// <summary>Has the worker let go of some blocks; returns when it did.</summary>
    /// <exception cref="RpcException">No answer.</exception>
    internal Task ReleaseAsync(ReleaseRequest request, CancellationToken cancel) => _channel.UnaryAsync(ControlMethods.Release, request, GrpcCallOptions.Endless, cancel);

    /// <summary>Has the worker end its process, once it has answered the calls it has.</summary>
    /// <exception cref="RpcException">No answer.</exception>
    internal Task LeaveAsync(CancellationToken cancel) => _channel.UnaryAsync(ControlMethods.Leave, new LeaveRequest(), GrpcCallOptions.Endless, cancel);

    /// <summary>Asks the worker how it is, beside the calls; the time of the answer is the round trip.</summary>
    /// <exception cref="RpcException">No answer in time; a worker of an older version does not know the question.</exception>
    public Task<StatusResponse> StatusAsync(CancellationToken cancel) =>
        _channel.UnaryAsync(ExpertMethods.Status, new StatusRequest(), GrpcCallOptions.After(StatusTimeout), cancel);

    /// <summary>Closes the connection; a second time does nothing.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        await _closing.CancelAsync();
        _stream.Dispose();
        await _reading;
        _channel.Dispose();
        _closing.Dispose();
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

    /// <summary>An answer that nobody waits for came too late, and is dropped.</summary>
    private void Complete(ResultFrame result)
    {
        ICallTarget? target;
        lock (_open)
            _open.Remove(result.Id, out target);
        if (target is null)
            _results.Return(result);
        else
            target.OnAnswer(result);
    }

    /// <summary>Ends every call that waits: nothing more will come.</summary>
    private void Lose(Exception cause)
    {
        ICallTarget[] waiting;
        lock (_open)
        {
            if (_lost is null)
                // First: who sees the loss reads its time.
                Volatile.Write(ref _lostAt, Stopwatch.GetTimestamp());
            _lost ??= new DispatchException($"worker {Id} at {Address} (process {Description.ProcessId}) is lost: {(cause as RpcException)?.Status.Message ?? cause.Message}", cause);
            waiting = [.. _open.Values];
            _open.Clear();
        }
        foreach (var target in waiting)
            target.OnLost(_lost);
        _ended.TrySetResult();
    }

    private sealed record Said(DescribeResponse Description, HeldColumns Held);
}
