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
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Session;

/// <summary>
/// A coordinator with everything it needs to run the model: store, workers (started here or connected to), engine. What it
/// started it stops, and it waits for it.
/// </summary>
public sealed class ClusterSession : IAsyncDisposable
{
    private readonly Stack<object> _owned = new();
    private DispatchTimes _times = null!;

    private ClusterSession(ClusterSessionOptions options, ModelStore store) => (Options, Store) = (options, store);

    public ClusterSessionOptions Options { get; }

    public ModelStore Store { get; }

    /// <summary>The experts in worker processes; null when they are computed in this process.</summary>
    public ClusterWorkers? Cluster { get; private set; }

    /// <summary>Where every bundle is now; null when the experts are computed in this process.</summary>
    public Plan? Plan => WorkerPool?.Plan;

    /// <summary>Keeps the workers connected; null when the experts are computed in this process.</summary>
    public WorkerPool? WorkerPool => Cluster?.Pool;

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
        Cluster?.Dispatcher.Observer = observer;
    }

    /// <summary>Worker processes that were started here; null when there are none.</summary>
    public LocalWorkers? LocalWorkers => Cluster?.Local;

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
        Options.Opened?.Invoke(Store, Tokenizer);
        var threads = Options.Threads ?? Environment.ProcessorCount;
        var local = !Options.HasRemoteWorkers && Options.Workers == 0;
        // Local workers compute on the same cores.
        Pool = Own(new ComputePool(threads, spin: Options.Workers == 0 && threads <= Environment.ProcessorCount));
        var exact = Options.Precision == Precision.Exact;
        var weightMemory = Options.Weights.For(weights.EveryStepBytes + (local ? ExpertBytes : 0));
        var cpu = new CpuDenseDevice(Store.Config, Pool, exact, Options.KvFormat);
        var kvBlocks = KvBlocks(cpu.KvBlockBytes);
        var device = Own(OpenGpu(exact, kvBlocks * cpu.KvBlockBytes, note) ?? cpu);
        var hostKvBytes = device.Place(Store.DenseLayout, kvBlocks * device.KvBlockBytes);

        Depth = ChooseDepth();
        var expertsHere = !Options.HasRemoteWorkers;
        MemoryBudget.Check($"model {Store.Name}", Store.DenseLayout.Bytes + hostKvBytes + (expertsHere ? ExpertBytes : 0), Options.MemoryLimit);
        Options.Progress?.Expect(weights.EveryStepBytes + (expertsHere ? ExpertBytes : 0));
        weights.Load(weightMemory, cancel);
        Options.Progress?.Add(weights.EveryStepBytes);
        if (local)
        {
            var experts = Own(new LocalExpertDispatcher(Store, new CpuExpertFeedForward(Pool, Store.ExpertLayout, PanelProduct.ActivationsFor(Store.ExpertLayout.Format, exact))));
            experts.Load(weightMemory, Options.Progress is { } progress ? progress.Add : null, cancel);
            _times = new DispatchTimes(experts);
        }
        else
        {
            Cluster = Own(await ClusterWorkers.StartAsync(Options, Store, Pool, Depth as PipelineDepth, note, cancel));
            _times = Times = new DispatchTimes(Cluster.Dispatcher);
        }
        var layers = device.CreateLayers(weights, Store.ExpertLayout);
        Forward = Own(new ForwardPass(Store, layers, _times, Options.Precision) { Depth = Depth });
        if (device is CudaDenseDevice)
            note($"attention, router, KV cache{(exact ? "" : " and head")} on {device.Description}");
        KvPool = Own(new KvBlockPool(layers, kvBlocks));
    }

    /// <summary>The GPU that was asked for; null where the processor computes.</summary>
    private IDenseDevice? OpenGpu(bool exact, long kvBytes, Action<string> note)
    {
        if (CudaDenseDevice.Open(Options.Device, Store.DenseLayout.Format, Options.KernelCache, note) is not { } gpu)
            return null;
        var device = new CudaDenseDevice(gpu, Store.Config, Pool, exact, Options.KvFormat);
        try
        {
            device.Place(Store.DenseLayout, kvBytes);
            return device;
        }
        catch (ResourceException e)
        {
            device.Dispose();
            if (!Options.Device.IsAuto)
                throw;
            note($"--device auto takes the CPU: {e.Message}");
            return null;
        }
    }

    /// <summary>Workers that were started here share the cores with the coordinator: nothing runs beside them.</summary>
    private IPipelineDepth? ChooseDepth() => Options.PipelineDepth is { } depth ? new FixedPipelineDepth(depth) : Options.HasRemoteWorkers ? new PipelineDepth() : null;

    private int KvBlocks(long blockBytes)
    {
        var full = KvBlockPool.BlocksFor(Math.Max(Store.Config.MaxSequenceLength, Options.LeastKvPositions));
        if (Options.KvMemory is not { } bytes)
            return full;
        if (bytes < blockBytes)
            throw new ResourceException($"--kv-memory {bytes} is less than one KV block of this model, {blockBytes} bytes");
        return (int)Math.Min(bytes / blockBytes, int.MaxValue);
    }

    /// <summary>All experts that this machine holds, copies included.</summary>
    private long ExpertBytes => (Options.Workers == 0 ? 1 : Options.Copies) * (long)Store.Config.LayerCount * Store.Config.ExpertCount * Store.ExpertLayout.Bytes(0, Store.ExpertLayout.Blocks.Count);

    private T Own<T>(T item) where T : class
    {
        _owned.Push(item);
        return item;
    }
}
