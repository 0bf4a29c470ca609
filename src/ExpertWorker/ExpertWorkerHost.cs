using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.ExpertWorker.Faults;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Layers.Cuda;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.Weights;
using Grok1Cluster.Weights.Cache;
using Grok1Cluster.Weights.Fetching;
using Grok1Cluster.Weights.Serving;

namespace Grok1Cluster.ExpertWorker;

/// <summary>A running worker: tiles in memory, compute threads, gRPC server with health.</summary>
public sealed class ExpertWorkerHost : IAsyncDisposable
{
    private readonly Stack<IDisposable> _owned;
    private readonly TileStore _tiles;
    private readonly IExpertDevice _device;
    private readonly ExpertService _service;
    private readonly WeightCache _cache;
    private readonly HealthService _health;
    private readonly LeaveSignal _leaving;
    private readonly GrpcServer _server;
    private readonly FaultInjector? _faults;
    private readonly WorkerHttpServer? _http;

    private ExpertWorkerHost(
        Stack<IDisposable> owned, TileStore tiles, IExpertDevice device, ExpertService service, WeightCache cache, HealthService health, LeaveSignal leaving, FaultInjector? faults, GrpcServer server,
        WorkerHttpServer? http) =>
        (_owned, _tiles, _device, _service, _cache, _health, _leaving, _faults, _server, _http) = (owned, tiles, device, service, cache, health, leaving, faults, server, http);

    /// <summary>Where it listens, with the port it was given.</summary>
    public GrpcAddress Address => _server.Addresses[0];

    /// <summary>Where metrics and health are; null without.</summary>
    public string? HttpUrl => _http?.Url;

    /// <summary>Tiles held.</summary>
    public int TileCount => _tiles.Slices.Count;

    /// <summary>Bytes of the tiles.</summary>
    public long Bytes => _tiles.Bytes;

    /// <summary>It holds other tiles than before.</summary>
    public event Action? TilesChanged
    {
        add => _tiles.Changed += value;
        remove => _tiles.Changed -= value;
    }

    /// <summary>Where weights of other machines are kept.</summary>
    public string CacheDirectory => _cache.Directory;

    /// <summary>Bytes that are kept there.</summary>
    public long CacheBytes => _cache.Bytes;

    /// <summary>Completes when a coordinator told this worker to end: then <see cref="LeaveAsync"/> is due.</summary>
    public Task LeaveRequested => _leaving.Given;

    /// <summary>What it says of itself now.</summary>
    public DescribeResponse Describe() => _service.Describe();

    /// <summary>What this worker was told to do wrong; null: nothing.</summary>
    public string? Faults => _faults?.Description;

    /// <summary>What computes, for people.</summary>
    public string Device => _device.Description;

    /// <summary>Loads and begins to serve; returns when the worker is ready.</summary>
    /// <exception cref="ModelException">Anything wrong in the store.</exception>
    /// <exception cref="PlanException">The plan does not fit it.</exception>
    /// <exception cref="UnnamedWorkerException">The plan does not name this worker.</exception>
    /// <exception cref="ResourceException">The tiles do not fit into memory.</exception>
    /// <exception cref="RpcException">No source can be reached, or none has a tile.</exception>
    /// <exception cref="IOException">The address is in use.</exception>
    public static async Task<ExpertWorkerHost> StartAsync(ExpertWorkerOptions options, Action<Exception> onFault, CancellationToken cancel)
    {
        var opened = new Stack<IDisposable>();
        try
        {
            var known = options.Sources.Count == 0 ? null : await ModelDescription.FetchAsync(options.Sources, options.Cache.Root, options.Tls, options.Note, cancel);
            var store = Push(known is null ? ModelStore.Open(options.ModelPath) : ModelStore.OpenWithoutWeights(known.Directory));
            var gpu = CudaExpertDevice.Open(options.Device, store.ExpertLayout.Format, options.KernelCache, options.Note);
            if (gpu is not null)
                Push(gpu);
            var cache = Push(new WeightCache(store, options.Cache));
            var local = new LocalWeights(store, cache);
            var tiles = Push(new TileStore(store));
            var calls = new CallEpochs();
            var keeper = new TileKeeper(options.Id, tiles, local, new BlockFetcher(store, cache, options.Note, options.Tls), options.Weights, options.MemoryLimit, calls, options.Verify, leavesLoading: gpu is not null);
            await new FirstTiles(options, local, keeper).HoldAsync(known, cancel);
            var threads = options.Threads > 0 ? options.Threads : Environment.ProcessorCount;
            var pool = Push(new ComputePool(threads, options.Spin && threads <= Environment.ProcessorCount));
            var device = keeper.Device = Push(await Task.Run(() => OpenDevice(options, gpu, tiles, pool, cancel), cancel));
            if (options.Preload && gpu is null)
                await BackgroundThread.Run(() => FirstCalls.Compute(tiles, device));
            var metrics = Push(new WorkerMetrics(options.Id, tiles));
            var leaving = new LeaveSignal();
            var serving = false;
            // Before the first call can come, beside which it would be started else.
            var http = options.HttpPort is { } port
                ? await WorkerHttpServer.StartAsync(metrics.Collector, () => Volatile.Read(ref serving) && !leaving.IsGiven, options.HttpHost, port, cancel) : null;
            try
            {
                // Who holds nothing yet may come to hold anything.
                var speed = device.MeasureSpeed(tiles.Bytes > 0 ? tiles.Bytes : WholeModel(store), options.Preload ? tiles.Runs : []);
                var faults = FaultInjector.Create(options.Faults, options.Id, options.FaultSeed);
                var service = Push(new ExpertService(options.Id, tiles, keeper.MemoryBytes, leaving, calls, device, speed, metrics, onFault, faults));
                if (faults is not null)
                    // Ends before the service does, whose thread it may hold.
                    Push(faults);

                var health = new HealthService();
                var services = new GrpcServices();
                service.AddTo(services);
                new ControlService(tiles, keeper, leaving).AddTo(services);
                new WeightService(local).AddTo(services);
                health.AddTo(services);
                var server = await GrpcServer.StartAsync(services, new GrpcServerOptions
                {
                    Listen = [options.Listen],
                    Tls = options.Tls is { } tls ? tls.Server : null,
                    Calls = new ServerCallOptions
                    {
                        MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes,
                        Authorize = options.Tls is null ? null : Permissions.Decide,
                    },
                }, cancel);
                SetHealth(health, serving: true);
                Volatile.Write(ref serving, true);
                return new ExpertWorkerHost(opened, tiles, device, service, cache, health, leaving, faults, server, http);
            }
            catch
            {
                if (http is not null)
                    await http.DisposeAsync();
                throw;
            }
        }
        catch
        {
            while (opened.TryPop(out var item))
                item.Dispose();
            throw;
        }

        T Push<T>(T item) where T : IDisposable
        {
            opened.Push(item);
            return item;
        }
    }

    /// <summary>
    /// Says that it leaves, takes no more calls, answers those it has and ends the streams, so that coordinators ask others.
    /// What is left when the token fires is broken off.
    /// </summary>
    public async Task LeaveAsync(CancellationToken limit)
    {
        _leaving.Give();
        SetHealth(_health, serving: false);
        await _server.StopAsync(limit);
    }

    public async ValueTask DisposeAsync()
    {
        if (_http is not null)
            await _http.DisposeAsync();
        await _server.DisposeAsync();
        while (_owned.TryPop(out var item))
            item.Dispose();
    }

    /// <summary>Brings the tiles to where they are computed. Those of the processor are in memory already.</summary>
    private static IExpertDevice OpenDevice(ExpertWorkerOptions options, IKernelDevice? gpu, TileStore tiles, ComputePool pool, CancellationToken cancel)
    {
        if (gpu is null)
            return new CpuExpertDevice(pool, tiles.Model.ExpertLayout);
        try
        {
            var device = new CudaExpertDevice(gpu, tiles.Model.ExpertLayout, tiles.Runs, pool, options.DeviceMemoryLimit);
            try
            {
                MemoryBudget.Check($"worker {options.Id}, beside {gpu.Name},", device.HostBytes, options.MemoryLimit);
                if (options.Preload)
                    WeightLoading.LoadAll(tiles.Runs.Except(device.Weights.Resident), options.Weights.For(device.HostBytes), null, options.Loaded, cancel);
                device.Weights.Load(options.Loaded, cancel);
                return device;
            }
            catch
            {
                device.Dispose();
                throw;
            }
        }
        catch (CudaException e) when (options.Device.IsAuto)
        {
            options.Note($"--device auto takes the CPU: {e.Message}");
            MemoryBudget.Check($"worker {options.Id}", tiles.Bytes, options.MemoryLimit);
            if (options.Preload)
                WeightLoading.LoadAll(tiles.Runs, options.Weights.For(tiles.Bytes), null, options.Loaded, cancel);
            return new CpuExpertDevice(pool, tiles.Model.ExpertLayout);
        }
        catch (CudaException e)
        {
            throw new ResourceException($"--device {options.Device}: {e.Message}");
        }
    }

    private static long WholeModel(ModelStore model) => (long)model.Config.LayerCount * model.Config.ExpertCount * model.ExpertLayout.Bytes(0, model.ExpertLayout.Blocks.Count);

    private static void SetHealth(HealthService health, bool serving)
    {
        health.Set(HealthService.WholeServer, serving);
        health.Set(ExpertMethods.Service, serving);
    }
}
