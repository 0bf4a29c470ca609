using System.Text.Json;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>
/// A coordinator and workers that are machines of their own as far as weights go: each has on its disk what the first plan gave it, and
/// fetches the rest from the others.
/// </summary>
internal sealed class OperatedCluster : IDisposable
{
    private const int Workers = 3;
    private const string Next = "worker-3", Source = "source";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private readonly string _directory = Directory.CreateTempSubdirectory("grok1-operated-").FullName;
    private readonly WorkerFleet _fleet = new();

    /// <summary>Has the model, without limit, and no part in the plan: who starts without one asks it what the model is.</summary>
    private readonly WorkerFleet _source = new();
    private readonly string _model;
    private readonly Plan _plan;
    private ServingProcess _coordinator = null!;

    private OperatedCluster(string model, int replicas) => (_model, _plan) = (model, BenchPlans.Whole(model, Workers, replicas));

    public Uri Url => _coordinator.Url;

    /// <summary>Processor seconds that each worker took from its start until the cluster was ready with it, of those that were restarted.</summary>
    public List<double> StartSeconds { get; } = [];

    /// <param name="model">Directory of a store.</param>
    /// <param name="replicas">Workers that hold each bundle.</param>
    /// <param name="precision">As grok1 takes it.</param>
    /// <param name="transferLimit">Bytes a second that a worker may fetch, as grok1 takes it.</param>
    /// <param name="prepare">Done when it serves.</param>
    public static async Task<OperatedCluster> StartAsync(string model, int replicas, string precision, string transferLimit, Func<OperatedCluster, Task> prepare)
    {
        var cluster = new OperatedCluster(model, replicas);
        try
        {
            await cluster.BeginAsync(precision, transferLimit);
            await prepare(cluster);
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>Every worker ends by SIGTERM and comes back, one after the other.</summary>
    /// <param name="pause">After each that is back.</param>
    public async Task RestartAllAsync(TimeSpan pause)
    {
        foreach (var id in WorkerIds.Numbered(Workers))
        {
            if (await _fleet.EndAsync(id) is not 0 and var code)
                throw new InvalidOperationException($"{id} ended with {code}\n{_fleet.Process(id).Error}");
            await _fleet.StartAgainAsync(id);
            await _coordinator.UntilLineAsync(line => line.Contains($"worker {id} at ", StringComparison.Ordinal) && line.EndsWith(" is back", StringComparison.Ordinal), Limit);
            await _coordinator.UntilReadyAsync(Limit);
            StartSeconds.Add(_fleet.Process(id).ProcessorTime.TotalSeconds);
            await Task.Delay(pause);
        }
    }

    /// <summary>The first bundle of the first layer goes from its worker to another.</summary>
    public Task MoveAsync() => _coordinator.ChangeAsync("move", Json(new { layer = 0, bundle = 0, from = "worker-0", to = "worker-1" }));

    /// <summary>Starts a worker that has nothing and belongs to nobody yet.</summary>
    public Task StartNextAsync() => _fleet.StartAsync(Next, "--from", _source.Address(Source), "--cache", Cache(Next));

    /// <summary>That worker is taken in, and given a bundle of each layer.</summary>
    public Task JoinAsync()
    {
        Save(BenchPlans.WithOneMore(_plan, Next));
        return _coordinator.ChangeAsync("join", Json(new { address = _fleet.Address(Next) }));
    }

    /// <summary>The last worker gives what it holds to the others, and ends.</summary>
    public async Task DrainAsync()
    {
        var last = $"worker-{Workers - 1}";
        await _coordinator.ChangeAsync("drain", Json(new { worker = last }));
        if ((await _fleet.Process(last).WaitForExitAsync()).ExitCode is not 0 and var code)
            throw new InvalidOperationException($"{last} ended with {code}");
    }

    /// <summary>The plan's file has the bundles of a layer in other places, and is read again.</summary>
    public Task RebalanceAsync()
    {
        Save(BenchPlans.Turned(_plan));
        return _coordinator.ChangeAsync("rebalance", "{}");
    }

    /// <summary>Slices in place of whole experts.</summary>
    public Task ApplyAsync()
    {
        var sliced = Path.Combine(_directory, "sliced.json");
        PlanFile.Save(sliced, BenchPlans.Sliced(_model, Workers));
        return _coordinator.ChangeAsync("apply", File.ReadAllText(sliced));
    }

    public void Dispose()
    {
        _coordinator?.Dispose();
        _fleet.Dispose();
        _source.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private string PlanPath => Path.Combine(_directory, "plan.json");

    private async Task BeginAsync(string precision, string transferLimit)
    {
        var first = Path.Combine(_directory, "first.json");
        PlanFile.Save(first, _plan);
        Save(_plan);
        await _source.StartAsync(Source, "--model", _model, "--hold", "none");
        foreach (var id in WorkerIds.Numbered(Workers))
            await _fleet.StartAsync(id, "--from", _source.Address(Source), "--cache", Cache(id), "--plan", first);
        _coordinator = await ServingProcess.StartAsync(
            ["--model", _model, "--port", "0", "--threads", "1", "--plan", PlanPath, "--precision", precision, "--transfer-limit", transferLimit, "--worker-address", string.Join(',', _fleet.Addresses)]);
        await _coordinator.UntilReadyAsync(Limit);
    }

    private void Save(Plan plan) => PlanFile.Save(PlanPath, plan);

    private string Cache(string id) => Path.Combine(_directory, id);

    private static string Json<T>(T body) => JsonSerializer.Serialize(body);
}
