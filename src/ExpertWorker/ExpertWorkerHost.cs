using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Wire;
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

namespace Grok1Cluster.ExpertWorker;

/// <summary>A running worker: tiles in memory, compute threads, gRPC server with health.</summary>
public sealed class ExpertWorkerHost : IAsyncDisposable
{
    private readonly ModelStore _store;
    private readonly TileStore _tiles;
    private readonly ComputePool _pool;
    private readonly IExpertDevice _device;
    private readonly ExpertService _service;
    private readonly GrpcServer _server;
    private readonly WorkerMetrics _metrics;
    private WorkerHttpServer? _http;

    private ExpertWorkerHost(ModelStore store, TileStore tiles, ComputePool pool, IExpertDevice device, ExpertService service, WorkerMetrics metrics, GrpcServer server) =>
        (_store, _tiles, _pool, _device, _service, _metrics, _server) = (store, tiles, pool, device, service, metrics, server);

    /// <summary>Where it listens, with the port it was given.</summary>
    public GrpcAddress Address => _server.Addresses[0];

    /// <summary>Where metrics and health are; null without.</summary>
    public string? HttpUrl => _http?.Url;

    /// <summary>Tiles held.</summary>
    public int TileCount => _tiles.Slices.Count;

    /// <summary>Bytes of the tiles.</summary>
    public long Bytes => _tiles.Bytes;

    /// <summary>What computes, for people.</summary>
    public string Device => _device.Description;

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
            var slices = ChooseSlices(store, options);
            var gpu = CudaExpertDevice.Open(options.Device, store.ExpertLayout.Format, options.KernelCache);
            if (gpu is not null)
                Push(gpu);
            else
                MemoryBudget.Check($"worker {options.Id}", StoreBytes(store, slices), options.MemoryLimit);
            var tiles = Push(new TileStore(store, slices));
            var pool = Push(new ComputePool(options.Threads > 0 ? options.Threads : Environment.ProcessorCount, options.Spin));
            var device = Push(await Task.Run(() => OpenDevice(options, gpu, tiles, pool, cancel), cancel));
            var metrics = Push(new WorkerMetrics(options.Id, tiles));
            var service = Push(new ExpertService(options.Id, tiles, pool, device, metrics, onFault));

            var health = new HealthService();
            var services = new GrpcServices();
            service.AddTo(services);
            health.AddTo(services);
            var server = await GrpcServer.StartAsync(services, new GrpcServerOptions
            {
                Listen = [options.Listen],
                Calls = new ServerCallOptions { MaxReceiveMessageBytes = ExpertMethods.MaxMessageBytes },
            }, cancel);
            health.Set(HealthService.WholeServer, serving: true);
            health.Set(ExpertMethods.Service, serving: true);
            var host = new ExpertWorkerHost(store, tiles, pool, device, service, metrics, server);
            try
            {
                host._http = options.HttpPort is { } port ? await WorkerHttpServer.StartAsync(metrics.Collector, options.HttpHost, port, cancel) : null;
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

    public async ValueTask DisposeAsync()
    {
        if (_http is not null)
            await _http.DisposeAsync();
        await _server.DisposeAsync();
        _service.Dispose();
        _metrics.Dispose();
        _device.Dispose();
        _pool.Dispose();
        _tiles.Dispose();
        _store.Dispose();
    }

    /// <summary>Brings the tiles to where they are computed.</summary>
    private static IExpertDevice OpenDevice(ExpertWorkerOptions options, IKernelDevice? gpu, TileStore tiles, ComputePool pool, CancellationToken cancel)
    {
        if (gpu is null)
        {
            if (options.Preload)
                TileStore.Load(tiles.Runs, options.Weights, options.Loaded, cancel);
            return new CpuExpertDevice(pool, tiles.Model.ExpertLayout, tiles.Bytes);
        }
        try
        {
            var device = new CudaExpertDevice(gpu, tiles.Model.ExpertLayout, tiles.Runs, pool, options.DeviceMemoryLimit);
            try
            {
                MemoryBudget.Check($"worker {options.Id}, beside {gpu.Name},", device.HostBytes, options.MemoryLimit);
                if (options.Preload)
                    TileStore.Load([.. tiles.Runs.Except(device.Weights.Resident)], options.Weights, options.Loaded, cancel);
                device.Weights.Load(options.Loaded, cancel);
                return device;
            }
            catch
            {
                device.Dispose();
                throw;
            }
        }
        catch (CudaException e)
        {
            throw new ResourceException($"--device {options.Device}: {e.Message}");
        }
    }

    /// <summary>The plan's tiles of this worker, or without a plan every run of blocks that the store holds.</summary>
    private static List<ExpertSlice> ChooseSlices(ModelStore store, ExpertWorkerOptions options)
    {
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

    private static long StoreBytes(ModelStore store, IEnumerable<ExpertSlice> slices) =>
        slices.Sum(slice => store.ExpertLayout.BlockRange(slice.Start, slice.End) is var (first, end) ? store.ExpertLayout.Bytes(first, end) : 0);
}
