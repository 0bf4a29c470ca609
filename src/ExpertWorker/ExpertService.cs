using System.Diagnostics;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.ExpertWorker.Faults;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// <c>grok1.expert.v1.ExpertService</c>: streams of calls from any number of coordinators. A connection's thread reads a call
/// and puts it into the queue, the compute thread computes it and writes the answer; no other thread is on the way. What a
/// stream sent and did not get back dies with it; nothing else is kept.
/// </summary>
internal sealed class ExpertService : IDisposable
{
    /// <summary>Frames kept for later calls.</summary>
    private const int KeptFrames = 64;

    private readonly string _id;
    private readonly TileStore _tiles;
    private readonly long _memoryBytes;
    private readonly LeaveSignal _leaving;
    private readonly CallEpochs _calls;
    private readonly IExpertDevice _device;
    private readonly MachineSpeed? _speed;
    private readonly WorkerMetrics _metrics;
    private readonly CallExecutor _decode;
    private readonly CallExecutor _bulk;
    private readonly Action<Exception> _onFault;
    private readonly FaultInjector? _faults;
    private readonly WorkQueue _queue = new();
    private readonly FramePool<ExpertRequest> _requests = new(KeptFrames);
    private readonly FramePool<ResultFrame> _results = new(KeptFrames);
    private readonly Action _computeUrgent;
    private readonly Thread _thread;

    // With one coordinator nobody waits behind its bulk calls, and cutting them would only cost.
    private int _streams;

    /// <param name="id">The worker's id.</param>
    /// <param name="tiles">What it holds.</param>
    /// <param name="memoryBytes">Most bytes of weights that it may hold.</param>
    /// <param name="leaving">Whether it was told to end.</param>
    /// <param name="calls">Told of every call that comes and every one that was answered.</param>
    /// <param name="device">Computes; used by this object's thread only.</param>
    /// <param name="speed">How fast, if that is known.</param>
    /// <param name="metrics">Told of every call.</param>
    /// <param name="onFault">Told of exceptions in a computation, which become INTERNAL failures.</param>
    /// <param name="faults">What to do wrong; null: nothing. Not disposed.</param>
    public ExpertService(
        string id, TileStore tiles, long memoryBytes, LeaveSignal leaving, CallEpochs calls, IExpertDevice device, MachineSpeed? speed, WorkerMetrics metrics, Action<Exception> onFault,
        FaultInjector? faults)
    {
        (_id, _tiles, _memoryBytes, _leaving, _calls, _device, _metrics, _onFault, _faults, _speed) = (id, tiles, memoryBytes, leaving, calls, device, metrics, onFault, faults, speed);
        (_decode, _bulk) = (new CallExecutor(tiles, device), new CallExecutor(tiles, device));
        _computeUrgent = ComputeUrgent;
        metrics.QueueLength = () => _queue.Count;
        _thread = new Thread(ComputeAll) { IsBackground = true, Name = "expert-calls" };
        _thread.Start();
    }

    public void AddTo(GrpcServices services)
    {
        services.AddUnary(ExpertMethods.Describe, (_, _) => Task.FromResult(Describe()));
        services.AddUnary(ExpertMethods.Status, (_, _) => Task.FromResult(new StatusResponse
        {
            ResidentBytes = Environment.WorkingSet, QueueLength = (uint)_queue.Count, Calls = (ulong)_metrics.Calls, Leaving = _leaving.IsGiven,
        }));
        services.AddDuplexStreaming(ExpertMethods.ProcessFrames(_requests.Rent, _results.Rent), ProcessAsync, MessageScheduling.Inline);
    }

    public void Dispose()
    {
        _queue.End();
        _thread.Join();
        _decode.Dispose();
        _bulk.Dispose();
    }

    internal DescribeResponse Describe()
    {
        var (slices, bytes) = _tiles.Held;
        var response = new DescribeResponse
        {
            WorkerId = _id,
            ProcessId = Environment.ProcessId,
            Version = typeof(ExpertService).Assembly.GetName().Version?.ToString(3) ?? "",
            Fingerprint = _tiles.Model.Manifest.Fingerprint,
            KernelId = _device.KernelId,
            Bytes = bytes,
            ReadBytesPerSecond = _speed?.ReadBytesPerSecond ?? 0,
            OperationsPerSecond = _speed?.OperationsPerSecond ?? 0,
            MemoryBytes = _memoryBytes,
            Protocol = ExpertMethods.Protocol,
        };
        response.Tiles.AddRange(slices.Select(slice => new HeldTile
        {
            Layer = (uint)slice.Layer, Expert = (uint)slice.Expert, Start = (uint)slice.Start, End = (uint)slice.End,
        }));
        return response;
    }

    private async Task ProcessAsync(IMessageReader<ExpertRequest> requests, IMessageWriter<ResultFrame> responses, ServerCallContext context)
    {
        var cancel = context.CancellationToken;
        var stream = new CallStream(responses, _results, cancel);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancel, context.ServerStopping);
        Interlocked.Increment(ref _streams);
        try
        {
            while (await requests.MoveNextAsync(ended.Token))
            {
                Accept(requests.Current, stream);
                await stream.WaitForRoomAsync();
            }
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // This worker leaves: what it took is answered below, and the coordinator asks others for the rest.
        }
        finally
        {
            await stream.WaitUntilEmptyAsync();
            Interlocked.Decrement(ref _streams);
        }
    }

    private void Accept(ExpertRequest request, CallStream stream)
    {
        if (request.Frame.IsCancel)
        {
            stream.Cancel(request.Frame.Id);
            _requests.Return(request);
            return;
        }
        (request.Stream, request.Arrived) = (stream, Stopwatch.GetTimestamp());
        if (!stream.TryOpen(request))
            throw new RpcException(GrpcStatusCode.InvalidArgument, $"call {request.Frame.Id} is open already");
        request.Epoch = _calls.Enter();
        _queue.Add(request);
    }

    private void ComputeAll()
    {
        while (_queue.Take() is { } request)
            if (request.Frame.Priority == Priority.Decode)
                Finish(request, _decode, null);
            else
                Finish(request, _bulk, Volatile.Read(ref _streams) > 1 ? _computeUrgent : null);
    }

    /// <summary>What somebody waits for comes between the quanta of what may wait.</summary>
    private void ComputeUrgent()
    {
        while (_queue.TakeUrgent() is { } request)
            Finish(request, _decode, null);
    }

    private void Finish(ExpertRequest request, CallExecutor executor, Action? between)
    {
        var stream = request.Stream;
        stream.Close(request, stream.IsWanted(request.Frame.Id) ? Compute(request, executor, between) : null);
        _calls.Leave(request.Epoch);
        _requests.Return(request);
    }

    private ResultFrame? Compute(ExpertRequest request, CallExecutor executor, Action? between)
    {
        var call = request.Frame;
        var result = _results.Rent();
        (result.Id, result.Reason, result.Message) = (call.Id, CallFailure.Types.Reason.Unspecified, "");
        var queued = Stopwatch.GetElapsedTime(request.Arrived);
        try
        {
            var refusal = call.TimeoutMs > 0 && queued.TotalMilliseconds > call.TimeoutMs
                ? new CallRefusal(CallFailure.Types.Reason.Expired, $"waited {queued.TotalMilliseconds:0} ms of {call.TimeoutMs}")
                : request.Check(_tiles);
            if (refusal is not null)
                return Fail(result, refusal);
            _faults?.Begin();
            var start = Stopwatch.GetTimestamp();
            executor.Run(request, result, between);
            if (_faults?.End(call, result, Stopwatch.GetElapsedTime(start)) == false)
            {
                _results.Return(result);
                return null;
            }
            result.QueueUs = (uint)queued.TotalMicroseconds;
            result.ComputeUs = (uint)Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            _metrics.Computed(call, result);
            return result;
        }
        catch (Exception e)
        {
            _onFault(e);
            return Fail(result, new CallRefusal(CallFailure.Types.Reason.Internal, e.GetType().Name));
        }
    }

    private ResultFrame Fail(ResultFrame result, CallRefusal refusal)
    {
        _metrics.Refused(refusal.Reason);
        (result.Reason, result.Message) = (refusal.Reason, refusal.Message);
        result.Resize(0);
        return result;
    }
}
