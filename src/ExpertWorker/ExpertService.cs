using System.Diagnostics;
using System.Threading.Channels;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Kernels;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// <c>grok1.expert.v1.ExpertService</c>: streams of calls from any number of coordinators, computed one after the other by
/// one thread in order of arrival. What a stream sent and did not get back dies with it; nothing else is kept.
/// </summary>
public sealed class ExpertService : IDisposable
{
    /// <summary>Calls that wait at most; a stream that sends more is held back by flow control.</summary>
    private const int QueueLength = 64;

    private readonly string _id;
    private readonly TileStore _tiles;
    private readonly CallExecutor _executor;
    private readonly WorkerMetrics _metrics;
    private readonly Action<Exception> _onFault;
    private readonly Channel<PendingCall> _queue = Channel.CreateBounded<PendingCall>(QueueLength);
    private readonly Thread _thread;

    /// <param name="id">The worker's id.</param>
    /// <param name="tiles">What it holds.</param>
    /// <param name="executor">Computes; used by this object's thread only.</param>
    /// <param name="metrics">Told of every call.</param>
    /// <param name="onFault">Told of exceptions in a computation, which become INTERNAL failures.</param>
    public ExpertService(string id, TileStore tiles, CallExecutor executor, WorkerMetrics metrics, Action<Exception> onFault)
    {
        (_id, _tiles, _executor, _metrics, _onFault) = (id, tiles, executor, metrics, onFault);
        metrics.QueueLength = () => _queue.Reader.Count;
        _thread = new Thread(ComputeAll) { IsBackground = true, Name = "expert-calls" };
        _thread.Start();
    }

    public void AddTo(GrpcServices services) => services
        .AddUnary(ExpertMethods.Describe, (_, _) => Task.FromResult(Describe()))
        .AddUnary(ExpertMethods.Status, (_, _) => Task.FromResult(new StatusResponse
        {
            ResidentBytes = Environment.WorkingSet, QueueLength = (uint)_queue.Reader.Count, Calls = (ulong)_metrics.Calls,
        }))
        .AddDuplexStreaming(ExpertMethods.Process, ProcessAsync);

    public void Dispose()
    {
        _queue.Writer.TryComplete();
        _thread.Join();
    }

    private DescribeResponse Describe()
    {
        var response = new DescribeResponse
        {
            WorkerId = _id,
            ProcessId = Environment.ProcessId,
            Version = typeof(ExpertService).Assembly.GetName().Version?.ToString(3) ?? "",
            Fingerprint = _tiles.Model.Manifest.Fingerprint,
            KernelId = CpuFeatures.KernelId,
            Bytes = _tiles.Bytes,
        };
        response.Tiles.AddRange(_tiles.Tiles.Select(tile => new HeldTile
        {
            Layer = (uint)tile.Slice.Layer, Expert = (uint)tile.Slice.Expert, Start = (uint)tile.Slice.Start, End = (uint)tile.Slice.End,
        }));
        return response;
    }

    private async Task ProcessAsync(IMessageReader<ProcessRequest> requests, IMessageWriter<ProcessResponse> responses, ServerCallContext context)
    {
        var cancel = context.CancellationToken;
        var stream = new CallStream(cancel);
        var writing = WriteAllAsync(stream.Answers, responses, cancel);
        try
        {
            while (await requests.MoveNextAsync(cancel))
                await AcceptAsync(requests.Current, stream, cancel);
        }
        finally
        {
            stream.EndOfCalls();
            await writing;
        }
    }

    private async ValueTask AcceptAsync(ProcessRequest request, CallStream stream, CancellationToken cancel)
    {
        switch (request.KindCase)
        {
            case ProcessRequest.KindOneofCase.Call:
                if (!stream.TryOpen(request.Call.Id))
                    throw new RpcException(GrpcStatusCode.InvalidArgument, $"call {request.Call.Id} is open already");
                try
                {
                    await _queue.Writer.WriteAsync(new PendingCall(request.Call, stream, Stopwatch.GetTimestamp()), cancel);
                }
                catch
                {
                    stream.Close(request.Call.Id, null);
                    throw;
                }
                break;
            case ProcessRequest.KindOneofCase.Cancel:
                stream.Cancel(request.Cancel.Id);
                break;
            default:
                throw new RpcException(GrpcStatusCode.InvalidArgument, "a request is a call or a cancel");
        }
    }

    private static async Task WriteAllAsync(ChannelReader<ProcessResponse> results, IMessageWriter<ProcessResponse> responses, CancellationToken cancel)
    {
        await foreach (var response in results.ReadAllAsync(cancel))
            await responses.WriteAsync(response, cancel);
    }

    private void ComputeAll()
    {
        var reader = _queue.Reader;
        while (reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
            while (reader.TryRead(out var pending))
                pending.Stream.Close(pending.Call.Id, pending.Stream.IsWanted(pending.Call.Id) ? Compute(pending) : null);
    }

    private ProcessResponse Compute(PendingCall pending)
    {
        var queued = Stopwatch.GetElapsedTime(pending.Arrived);
        var call = pending.Call;
        if (call.TimeoutMs > 0 && queued.TotalMilliseconds > call.TimeoutMs)
            return Fail(call, new CallRefusal(CallFailure.Types.Reason.Expired, $"waited {queued.TotalMilliseconds:0} ms of {call.TimeoutMs}"));
        try
        {
            if (ExpertRequest.Check(call, _tiles, out var refusal) is not { } request)
                return Fail(call, refusal!);
            var start = Stopwatch.GetTimestamp();
            var result = _executor.Run(request);
            result.QueueUs = (uint)queued.TotalMicroseconds;
            result.ComputeUs = (uint)Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            _metrics.Computed(call, result);
            return new ProcessResponse { Result = result };
        }
        catch (Exception e)
        {
            _onFault(e);
            return Fail(call, new CallRefusal(CallFailure.Types.Reason.Internal, e.GetType().Name));
        }
    }

    private ProcessResponse Fail(ExpertCall call, CallRefusal refusal)
    {
        _metrics.Refused(refusal.Reason);
        return new ProcessResponse { Failure = new CallFailure { Id = call.Id, Reason = refusal.Reason, Message = refusal.Message } };
    }

    private readonly record struct PendingCall(ExpertCall Call, CallStream Stream, long Arrived);
}
