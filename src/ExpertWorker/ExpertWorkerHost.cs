using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.ExpertWorker.Control;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.Weights;

namespace Grok1Cluster.ExpertWorker;

/// <summary>A running worker: tiles in memory, compute threads, gRPC server with health.</summary>
public sealed class ExpertWorkerHost : IAsyncDisposable
{
    private readonly Stack<IDisposable> _owned;
    private readonly TileStore _tiles;
    private readonly ExpertService _service;
    private readonly HealthService _health;
    private readonly LeaveSignal _leaving;
    private readonly GrpcServer _server;
    private WorkerHttpServer? _http;

    private ExpertWorkerHost(Stack<IDisposable> owned, TileStore tiles, ExpertService service, HealthService health, LeaveSignal leaving, GrpcServer server) =>
        (_owned, _tiles, _service, _health, _leaving, _server) = (owned, tiles, service, health, leaving, server);

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

    /// <summary>Completes when a coordinator told this worker to end: then <see cref="LeaveAsync"/> is due.</summary>
    public Task LeaveRequested => _leaving.Given;

    /// <summary>What it says of itself now.</summary>
    public DescribeResponse Describe() => _service.Describe();

    /// <summary>Loads and begins to serve; returns when the worker is ready.</summary>
    /// <exception cref="ModelException">Anything wrong in the store.</exception>
    /// <exception cref="PlanException">The plan does not fit it.</exception>
    /// <exception cref="ResourceException">The tiles do not fit into memory.</exception>
    /// <exception cref="IOException">The address is in use.</exception>
    public static async Task<ExpertWorkerHost> StartAsync(ExpertWorkerOptions options, Action<Exception> onFault, CancellationToken cancel)
    {
        var opened = new Stack<IDisposable>();
        try
        {
            var store = Push(ModelStore.Open(options.ModelPath));
            var tiles = Push(new TileStore(store));
            var local = new LocalWeights(store);
            var calls = new CallEpochs();
            var keeper = new TileKeeper(options.Id, tiles, local, options.Weights, options.MemoryLimit, calls);
            var wanted = WantedTiles.Of(store, ChooseSlices(store, options));
            await Task.Run(() => keeper.HoldFirst(wanted, options.Preload, options.Loaded, cancel), cancel);
            var pool = Push(new ComputePool(options.Threads > 0 ? options.Threads : Environment.ProcessorCount, options.Spin));
            var metrics = Push(new WorkerMetrics(options.Id, tiles));
            var leaving = new LeaveSignal();
            var service = Push(new ExpertService(options.Id, tiles, keeper.MemoryBytes, leaving, calls, pool, metrics, onFault));

            var health = new HealthService();
            var services = new GrpcServices();
            service.AddTo(services);
            new ControlService(tiles, keeper, leaving).AddTo(services);
            health.AddTo(services);
            var server = await GrpcServer.StartAsync(services, new GrpcServerOptions
            {
                Listen = [options.Listen],
                Calls = new ServerCallOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes },
            }, cancel);
            SetHealth(health, serving: true);
            var host = new ExpertWorkerHost(opened, tiles, service, health, leaving, server);
            try
            {
                host._http = options.HttpPort is { } port ? await WorkerHttpServer.StartAsync(metrics.Collector, () => !leaving.IsGiven, options.HttpHost, port, cancel) : null;
            }
            catch
            {
                await server.DisposeAsync();
                throw;
            }
            return host;
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

    private static void SetHealth(HealthService health, bool serving)
    {
        health.Set(HealthService.WholeServer, serving);
        health.Set(ExpertMethods.Service, serving);
    }

    /// <summary>The plan's tiles of this worker, or without a plan every run of blocks that the store holds.</summary>
    private static List<ExpertSlice> ChooseSlices(ModelStore store, ExpertWorkerOptions options)
    {
        if (options.HoldNothing)
            return [];
        if (options.PlanPath is not null)
        {
            var geometry = new PlanGeometry(store.Name, store.Config.LayerCount, store.Config.ExpertCount, store.Config.FeedForwardDim, store.ExpertLayout.BlockWidth);
            var plan = PlanFile.Load(options.PlanPath, geometry);
            return [.. WorkerShare.Of(plan, geometry, options.Id).Tiles.Select(tile => new ExpertSlice(tile.Layer, tile.Expert, plan.Cuts[tile.Slice], plan.Cuts[tile.Slice + 1]))];
        }
        var width = store.ExpertLayout.BlockWidth;
        return [.. from expert in store.Manifest.Experts
                   from run in expert.FirstBlocks.Zip(expert.EndBlocks)
                   select new ExpertSlice(expert.Layer, expert.Expert, run.First * width, Math.Min(run.Second * width, store.Config.FeedForwardDim))];
    }
}
