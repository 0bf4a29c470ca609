using System.Collections.Immutable;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Local;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Grpc;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Session;

/// <summary>
/// A coordinator with everything it needs to run the model: store, workers (started here or connected to), engine. What it
/// started it stops, and it waits for it.
/// </summary>
public sealed class ClusterSession : IAsyncDisposable
{
    /// <summary>Spinning for an answer is for machines of their own; beside local workers it takes their cores.</summary>
    private static readonly TimeSpan DispatchSpin = TimeSpan.FromMicroseconds(50);

    private readonly Stack<object> _owned = new();
    private DispatchTimes _times = null!;
    private RemoteExpertDispatcher? _remote;

    private ClusterSession(ClusterSessionOptions options, ModelStore store) => (Options, Store) = (options, store);

    public ClusterSessionOptions Options { get; }

    public ModelStore Store { get; }

    /// <summary>Where every bundle is; null when the experts are computed in this process.</summary>
    public Plan? Plan { get; private set; }

    /// <summary>Keeps the workers connected; null when the experts are computed in this process.</summary>
    public WorkerPool? WorkerPool { get; private set; }

    /// <summary>The present connection to every worker, lost or not, in the order of their ids' numbers or addresses.</summary>
    public IReadOnlyList<WorkerConnection> Workers => [.. WorkerPool?.Links.Select(link => link.Connection) ?? []];

    /// <summary>Null when the model has none.</summary>
    public SentencePieceTokenizer? Tokenizer { get; private set; }

    public ForwardPass Forward { get; private set; } = null!;

    /// <summary>Chooses the micro-batches of a step; null: always one.</summary>
    public IPipelineDepth? Depth { get; private set; }

    /// <summary>How long layers wait for their experts; null when the experts are computed in this process.</summary>
    public DispatchTimes? Times { get; private set; }

    /// <summary>Tells an observer of every layer and every call from now on; before the engine is started.</summary>
    public void Observe(IDispatchObserver observer)
    {
        _times.Observer = observer;
        _remote?.Observer = observer;
    }

    /// <summary>Worker processes that were started here; null when there are none.</summary>
    public LocalWorkers? LocalWorkers { get; private set; }

    /// <summary>Worker processes that were started here, those of now.</summary>
    public IReadOnlyList<int> LocalProcessIds => [.. LocalWorkers?.Ready.Select(worker => worker.Pid) ?? []];

    /// <summary>KV memory, for the engine or for scoring.</summary>
    public KvBlockPool KvPool { get; private set; } = null!;

    /// <summary>Starts the engine, which from then on is the only one to use <see cref="Forward"/>.</summary>
    public InferenceEngine StartEngine(EngineOptions options) => Own(new InferenceEngine(Store.Config, Forward, KvPool, options));

    /// <summary>For scoring known tokens, as long as no engine was started.</summary>
    public SequenceScorer CreateScorer() => Own(new SequenceScorer(Store.Config, Forward, KvPool));

    /// <summary>The threads that compute the coordinator's share.</summary>
    public ComputePool Pool { get; private set; } = null!;

    /// <summary>Opens the model, checks that it fits, starts or connects to the workers, checks that every tile is held.</summary>
    /// <param name="options">What to start.</param>
    /// <param name="note">Told what a person should know: idle workers, what workers print.</param>
    /// <param name="cancel">Gives up; nothing is left behind.</param>
    /// <exception cref="ModelException">Anything wrong in the store.</exception>
    /// <exception cref="PlanException">The plan does not fit, or a tile is not held.</exception>
    /// <exception cref="ResourceException">It does not fit into memory.</exception>
    public static async Task<ClusterSession> StartAsync(ClusterSessionOptions options, Action<string> note, CancellationToken cancel)
    {
        var store = ModelStore.Open(options.StorePath);
        var session = new ClusterSession(options, store);
        session.Own(store);
        try
        {
            await session.StartAsync(note, cancel);
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        while (_owned.TryPop(out var item))
            if (item is IAsyncDisposable asynchronous)
                await asynchronous.DisposeAsync();
            else
                ((IDisposable)item).Dispose();
    }

    private async Task StartAsync(Action<string> note, CancellationToken cancel)
    {
        var weights = Own(Store.OpenDense());
        Tokenizer = Store.TokenizerPath is { } path ? SentencePieceTokenizer.Load(path) : null;
        var threads = Options.Threads ?? Environment.ProcessorCount;
        var local = Options.Workers == 0 && Options.WorkerAddresses.Count == 0;
        Pool = Own(new ComputePool(threads, spin: local && threads <= Environment.ProcessorCount));
        var exact = Options.Precision == Precision.Exact;
        var weightMemory = Options.Weights.For(weights.EveryStepBytes + (local ? ExpertBytes : 0));
        var attention = new CpuLayerAttention(Store.Config, weights, Pool, exact, Options.KvFormat);
        var kvBlocks = KvBlocks(attention.KvBlockBytes);

        Depth = ChooseDepth();
        var expertsHere = Options.WorkerAddresses.Count == 0;
        MemoryBudget.Check($"model {Store.Name}", Store.DenseLayout.Bytes + kvBlocks * attention.KvBlockBytes + (expertsHere ? ExpertBytes : 0), Options.MemoryLimit);
        Options.Progress?.Expect(weights.EveryStepBytes + (expertsHere ? ExpertBytes : 0));
        weights.Load(weightMemory);
        Options.Progress?.Add(weights.EveryStepBytes);
        if (local)
        {
            var experts = Own(new LocalExpertDispatcher(Store, new CpuExpertFeedForward(Pool, Store.ExpertLayout, PanelProduct.ActivationsFor(Store.ExpertLayout.Format, exact))));
            experts.Load(weightMemory, Options.Progress is { } progress ? progress.Add : null);
            _times = new DispatchTimes(experts);
        }
        else
        {
            _remote = Own(await StartWorkersAsync(threads, note, cancel));
            _times = Times = new DispatchTimes(_remote);
        }
        Forward = Own(new ForwardPass(Store, weights, Pool, attention, _times, Options.Precision) { Depth = Depth });
        KvPool = Own(new KvBlockPool(attention.KvBlockBytes, kvBlocks));
    }

    /// <summary>Workers that were started here share the cores with the coordinator: nothing runs beside them.</summary>
    private IPipelineDepth? ChooseDepth() => Options.PipelineDepth is { } depth ? new FixedPipelineDepth(depth) : Options.WorkerAddresses.Count > 0 ? new PipelineDepth() : null;

    private async Task<RemoteExpertDispatcher> StartWorkersAsync(int threads, Action<string> note, CancellationToken cancel)
    {
        var geometry = new PlanGeometry(Store.Name, Store.Config.LayerCount, Store.Config.ExpertCount, Store.Config.FeedForwardDim, Store.ExpertLayout.BlockWidth);
        var addresses = Options.WorkerAddresses;
        if (addresses.Count == 0)
        {
            var ids = WorkerIds.Numbered(Options.Workers);
            Plan = Planner.Create(Options.Plan, geometry, ids, Inputs(Fleet.AssumedLocal(ids)));
            var started = LocalWorkers = Own(await Local.LocalWorkers.StartAsync(Options, Plan, threads, note, cancel));
            addresses = [.. started.Ready.Select(worker => worker.Address)];
        }
        var connections = await ConnectAsync(addresses, cancel);
        if (Plan is null)
        {
            string[] ids = [.. connections.Select(worker => worker.Id)];
            Plan = Planner.Create(Options.Plan, geometry, ids, Inputs(MeasuredFleet(connections)));
        }
        var idle = connections.Count(worker => !Plan.HoldingWorkers().Contains(worker.Id));
        if (idle > 0)
            note($"{idle} of {connections.Count} workers hold nothing: there are not more pieces");
        WorkerCoverage.Check(Plan, Store, connections);
        var workers = WorkerPool = Own(new WorkerPool(Plan, Store.Manifest.Fingerprint, connections));
        LocalWorkers?.Supervise(ready => workers.SetAddress(ready.Id, ready.Address));
        return new RemoteExpertDispatcher(
            new PlanLookup(Plan, geometry), workers, Store.Manifest.Fingerprint, Store.Config, Pool, Options.WorkerAddresses.Count > 0 ? DispatchSpin : TimeSpan.Zero, Options.LostWorkerTimeout)
        {
            Depth = Depth as PipelineDepth,
        };
    }

    /// <summary>Workers as they measured themselves; what they did not measure is assumed.</summary>
    private static Fleet MeasuredFleet(IReadOnlyList<WorkerConnection> workers)
    {
        var assumed = new MachineCosts();
        return new Fleet(assumed, workers.ToImmutableDictionary(worker => worker.Id, worker => worker.Description is { ReadBytesPerSecond: > 0, OperationsPerSecond: > 0 } speed
            && double.IsFinite(speed.ReadBytesPerSecond) && double.IsFinite(speed.OperationsPerSecond)
            ? assumed with { ReadBytesPerSecond = speed.ReadBytesPerSecond, OpsPerSecond = speed.OperationsPerSecond, RoundTripSeconds = worker.RoundTrip.TotalSeconds }
            : assumed with { RoundTripSeconds = worker.RoundTrip.TotalSeconds }));
    }

    private AutoInputs Inputs(Fleet fleet)
    {
        var bits = StoreCosts.WeightBits(Store.Config, Store.ExpertLayout.Bytes(0, Store.ExpertLayout.Blocks.Count));
        return new AutoInputs(StoreCosts.Of(Store.Config, bits, Options.Precision, Options.KvFormat), fleet, Options.ConcurrencyTarget);
    }

    private async Task<IReadOnlyList<WorkerConnection>> ConnectAsync(IReadOnlyList<string> addresses, CancellationToken cancel)
    {
        var workers = new List<WorkerConnection>();
        foreach (var address in addresses)
        {
            var worker = Own(await ReachAsync(address, cancel));
            if (workers.Find(other => other.Id == worker.Id) is { } other)
                throw new PlanException($"workers at {other.Address} and {worker.Address}", [$"both call themselves {worker.Id}; give each its own --id"]);
            workers.Add(worker);
        }
        return workers;
    }

    private async Task<WorkerConnection> ReachAsync(string address, CancellationToken cancel)
    {
        try
        {
            return await WorkerConnection.ConnectAsync(address, Options.WorkerAddresses.Count > 0 ? Options.Tls : null, id: null, cancel);
        }
        catch (RpcException e) when (e.Code is GrpcStatusCode.Unauthenticated or GrpcStatusCode.PermissionDenied)
        {
            throw new DispatchException($"the worker at {address} refuses this coordinator: {e.Status.Message}", e);
        }
        catch (RpcException e)
        {
            throw new DispatchException($"the worker at {address} cannot be reached ({e.Status}); start it there, correct the address{(Options.Tls is null ? ", or give --tls DIR if it was started with --tls" : "")}", e);
        }
    }

    private int KvBlocks(long blockBytes)
    {
        var full = KvBlockPool.BlocksFor(Math.Max(Store.Config.MaxSequenceLength, Options.LeastKvPositions));
        if (Options.KvMemory is not { } bytes)
            return full;
        if (bytes < blockBytes)
            throw new ResourceException($"--kv-memory {bytes} is less than one KV block of this model, {blockBytes} bytes");
        return (int)Math.Min(bytes / blockBytes, int.MaxValue);
    }

    /// <summary>All experts, each once; a worker that holds a replica checks its own share.</summary>
    private long ExpertBytes => (long)Store.Config.LayerCount * Store.Config.ExpertCount * Store.ExpertLayout.Bytes(0, Store.ExpertLayout.Blocks.Count);

    private T Own<T>(T item) where T : class
    {
        _owned.Push(item);
        return item;
    }
}
