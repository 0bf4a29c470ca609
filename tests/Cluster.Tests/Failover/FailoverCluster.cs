using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Worker processes, each with the whole model, and a coordinator in this process whose plan may name replicas.</summary>
internal sealed partial class FailoverCluster : IAsyncDisposable
{
    private readonly List<Grok1Process> _workers = [];
    private readonly Disturbance _disturbance = new();
    private readonly string _plan = Path.GetTempFileName();
    private InferenceEngine _engine = null!;

    public ClusterSession Session { get; private set; } = null!;

    /// <summary>The n-th worker's process.</summary>
    public Grok1Process Worker(int number) => _workers[number];

    /// <param name="replicas">Workers that each bundle is given to.</param>
    /// <param name="flags">More flags of the n-th worker; null: none.</param>
    public static Task<FailoverCluster> StartAsync(string model, int workers, int replicas, TimeSpan? lostWorkerTimeout = null, Func<int, string[]>? flags = null) =>
        StartAsync(model, workers, replicas, lostWorkerTimeout, (number, id) => Grok1Process.Start(["worker", "--model", model, "--id", id, "--listen", "127.0.0.1:0", "--threads", "1", .. flags?.Invoke(number) ?? []]));

    /// <param name="start">Starts the n-th worker, whose id is given.</param>
    public static async Task<FailoverCluster> StartAsync(string model, int workers, int replicas, TimeSpan? lostWorkerTimeout, Func<int, string, Grok1Process> start)
    {
        var cluster = new FailoverCluster();
        try
        {
            await cluster.StartWorkersAsync(workers, start);
            PlanFile.Save(cluster._plan, Replicated(Planner.Whole(Geometry(model), WorkerIds.Numbered(workers)), workers, replicas));
            cluster.Session = await ClusterSession.StartAsync(new ClusterSessionOptions
            {
                StorePath = model, Threads = 1, WorkerAddresses = [.. cluster._workers.Select(AddressOf)], Plan = PlanRequest.Parse(cluster._plan),
                LostWorkerTimeout = lostWorkerTimeout ?? Grok1Process.DefaultTimeout, KvMemory = 16 << 20,
            }, _ => { }, CancellationToken.None);
            cluster._engine = cluster.Session.StartEngine(new EngineOptions { Observer = cluster._disturbance });
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Generates greedily.</summary>
    public Task<IReadOnlyList<int>> GenerateAsync(int tokens) => GenerateAsync(_engine, tokens);

    /// <param name="at">Called when there are n tokens, before the next one is computed.</param>
    public Task<IReadOnlyList<int>> GenerateAsync(int tokens, int n, Action at)
    {
        _disturbance.Set(n, at);
        return GenerateAsync(tokens);
    }

    public static async Task<IReadOnlyList<int>> GenerateAsync(InferenceEngine engine, int tokens)
    {
        var request = new GenerationRequest { Prompt = [5, 17, 3], MaxTokens = tokens, Sampling = new SamplingOptions { Temperature = 0 }, IgnoreEos = true };
        return (await engine.Submit(request, CancellationToken.None).Completion).Tokens;
    }

    /// <summary>Completes when a worker is ready or lost, as asked for.</summary>
    public Task StateAsync(int worker, bool ready)
    {
        var link = Session.WorkerPool!.Links[worker];
        var reached = new TaskCompletionSource();
        Session.WorkerPool.Changed += (changed, _) =>
        {
            if (changed == link && link.IsReady == ready)
                reached.TrySetResult();
        };
        if (link.IsReady == ready)
            reached.TrySetResult();
        return reached.Task.WaitAsync(Grok1Process.DefaultTimeout);
    }

    /// <summary>SIGKILL, SIGSTOP or SIGCONT by their Linux numbers.</summary>
    public static void Signal(int process, int signal) => Assert.Equal(0, Kill(process, signal));

    public async ValueTask DisposeAsync()
    {
        if (Session is not null)
            await Session.DisposeAsync();
        foreach (var worker in _workers)
            worker.Dispose();
        File.Delete(_plan);
    }

    private async Task StartWorkersAsync(int count, Func<int, string, Grok1Process> start)
    {
        foreach (var (number, id) in WorkerIds.Numbered(count).Index())
            _workers.Add(start(number, id));
        foreach (var worker in _workers)
            await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
    }

    private static string AddressOf(Grok1Process worker)
    {
        var line = worker.Error.Split('\n').First(line => line.Contains("listens on "));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    public static PlanGeometry Geometry(string model)
    {
        using var store = Model.Store.ModelStore.Open(model);
        return new PlanGeometry(store.Name, store.Config.LayerCount, store.Config.ExpertCount, store.Config.FeedForwardDim, store.ExpertLayout.BlockWidth);
    }

    /// <summary>Each bundle on so many workers, the next ones in turn.</summary>
    public static Plan Replicated(Plan plan, int workers, int replicas) => plan with
    {
        Bundles = [.. plan.Bundles.Select(bundle => bundle with
        {
            Workers = [.. Enumerable.Range(int.Parse(bundle.Workers[0]["worker-".Length..]), replicas).Select(number => $"worker-{number % workers}")],
        })],
    };

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
