using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>Workers and a coordinator in this process, and streams that run while the cluster is changed.</summary>
internal sealed class ElasticCluster : IAsyncDisposable
{
    private const int Tokens = 40;

    private readonly string _model;
    private readonly Dictionary<string, ExpertWorkerHost> _workers = [];
    private InferenceEngine _engine = null!;
    private IReadOnlyList<int> _reference = [];

    private ElasticCluster(string model) => _model = model;

    public ClusterSession Session { get; private set; } = null!;

    public ClusterOperations Operations => Session.Cluster!.Operations;

    public Plan Plan => Session.Plan!;

    /// <param name="plan">As the flag has it; a file may name workers that come later.</param>
    /// <param name="ids">The workers; they hold nothing until the coordinator has them hold something.</param>
    public static Task<ElasticCluster> StartAsync(string model, string plan, params string[] ids) => StartAsync(model, plan, null, ids);

    /// <param name="membership">Of workers that register themselves, from the list of those that there are at first; null: they are named to the coordinator.</param>
    /// <inheritdoc cref="StartAsync(string, string, string[])"/>
    public static async Task<ElasticCluster> StartAsync(string model, string plan, Func<StaticMembership, IMembership>? membership, params string[] ids)
    {
        var cluster = new ElasticCluster(model);
        try
        {
            foreach (var id in ids)
                await cluster.StartWorkerAsync(id);
            cluster.Session = await ClusterSession.StartAsync(new ClusterSessionOptions
            {
                StorePath = model, Threads = 1,
                WorkerAddresses = membership is null ? [.. ids.Select(cluster.Address)] : [],
                OpenMembership = membership is null ? null : (_, _) => Task.FromResult(membership(new StaticMembership(ids.Select(cluster.Address)))),
                Plan = PlanRequest.Parse(plan),
                LostWorkerTimeout = Grok1Process.DefaultTimeout, KvMemory = 16 << 20,
            }, _ => { }, CancellationToken.None);
            cluster._engine = cluster.Session.StartEngine(new EngineOptions());
            cluster._reference = await cluster.GenerateAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public string Address(string id) => _workers[id].Address.ToString();

    public ExpertWorkerHost Worker(string id) => _workers[id];

    /// <param name="listen">Where one of that id was before; null: anywhere.</param>
    public async Task StartWorkerAsync(string id, string listen = "127.0.0.1:0") => _workers[id] = await ExpertWorkerHost.StartAsync(
        new ExpertWorkerOptions { Id = id, ModelPath = _model, HoldNothing = true, Listen = listen, Threads = 1 }, _ => { }, CancellationToken.None);

    /// <summary>Ends a worker as a crash would: its connections break.</summary>
    public async Task StopWorkerAsync(string id) => await _workers[id].DisposeAsync();

    /// <summary>Greedy, always the same prompt.</summary>
    public async Task<IReadOnlyList<int>> GenerateAsync()
    {
        var request = new GenerationRequest { Prompt = [5, 17, 3], MaxTokens = Tokens, Sampling = new SamplingOptions { Temperature = 0 }, IgnoreEos = true };
        return (await _engine.Submit(request, CancellationToken.None).Completion).Tokens;
    }

    /// <summary>Makes a change while two streams follow each other without pause, and one more after it: none may fail, each must be what it always was.</summary>
    public async Task UnderLoadAsync(Func<Task> change)
    {
        var changed = false;
        var streams = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            for (var last = false; !last;)
            {
                last = Volatile.Read(ref changed);
                Assert.Equal(_reference, await GenerateAsync());
            }
        })).ToArray();
        try
        {
            await change();
        }
        finally
        {
            Volatile.Write(ref changed, true);
            await Task.WhenAll(streams);
        }
    }

    /// <summary>Completes when the workers' pool is as asked for.</summary>
    public async Task UntilAsync(Func<WorkerPool, bool> condition)
    {
        var pool = Session.WorkerPool!;
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Look(WorkerLink link, WorkerChange change)
        {
            if (condition(pool))
                reached.TrySetResult();
        }
        pool.Changed += Look;
        if (condition(pool))
            reached.TrySetResult();
        await reached.Task.WaitAsync(Grok1Process.DefaultTimeout);
        pool.Changed -= Look;
    }

    public async ValueTask DisposeAsync()
    {
        if (Session is not null)
            await Session.DisposeAsync();
        foreach (var worker in _workers.Values)
            await worker.DisposeAsync();
    }
}
