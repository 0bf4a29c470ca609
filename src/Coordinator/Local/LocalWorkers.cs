using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Coordinator.Local;

/// <summary>The worker processes of a cluster on this machine, started together and each again when it ends, and the plan file they read.</summary>
public sealed class LocalWorkers : IAsyncDisposable
{
    private readonly string _directory;
    private readonly IReadOnlyList<SupervisedWorker> _workers;

    private LocalWorkers(string directory, IReadOnlyList<SupervisedWorker> workers) => (_directory, _workers) = (directory, workers);

    /// <summary>The workers in the order of their numbers, each as its present process.</summary>
    public IEnumerable<WorkerReady> Ready => _workers.Where(worker => !worker.IsForgotten).Select(worker => worker.Process.Ready);

    /// <summary>A process ended by itself, with this exit code; another is started.</summary>
    public event Action<WorkerReady, int>? Ended;

    /// <summary>A process was started in place of one that ended.</summary>
    public event Action<WorkerReady>? Restarted;

    /// <summary>A worker could not be started again; there will be another attempt.</summary>
    public event Action<string, Exception>? RestartFailed;

    /// <summary>Starts every worker; if one fails, stops the others.</summary>
    /// <param name="options">Program, model, number of workers.</param>
    /// <param name="plan">What each holds.</param>
    /// <param name="threads">Compute threads of this machine, shared among the workers.</param>
    /// <param name="note">Told of what workers print on standard error.</param>
    /// <param name="cancel">Gives up.</param>
    public static async Task<LocalWorkers> StartAsync(ClusterSessionOptions options, Plan plan, int threads, Action<string> note, CancellationToken cancel)
    {
        var directory = Directory.CreateTempSubdirectory("grok1-").FullName;
        var planPath = Path.Combine(directory, "plan.json");
        PlanFile.Save(planPath, plan);
        var named = plan.NamedWorkers();
        var nodes = options.SpreadOverNumaNodes ? NumaNode.All() : [];
        var shares = nodes.Count > 0 ? [] : CpuShares.Of(CpuAffinity.Allowed(), options.Workers, threads);
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var starting = WorkerIds.Numbered(options.Workers).Select(async (id, number) =>
        {
            try
            {
                return new SupervisedWorker(await LaunchAsync(id, number, options.Progress, failed.Token), again => LaunchAsync(id, number, null, again));
            }
            catch
            {
                await failed.CancelAsync();
                throw;
            }
        }).ToArray();
        try
        {
            return new LocalWorkers(directory, await Task.WhenAll(starting));
        }
        catch (Exception)
        {
            foreach (var task in starting)
                if (task.IsCompletedSuccessfully)
                    await task.Result.DisposeAsync();
            Directory.Delete(directory, recursive: true);
            // The first fault, not the cancellations that followed it.
            throw starting.Select(task => task.Exception?.InnerException).FirstOrDefault(e => e is not null) ?? new OperationCanceledException(cancel);
        }

        Task<WorkerProcess> LaunchAsync(string id, int number, LoadProgress? progress, CancellationToken stop) => WorkerProcess.StartAsync(options.Program,
        [
            "worker", "--supervised", "--id", id, "--model", Path.GetFullPath(options.StorePath),
            // Of more workers than pieces some wait for a plan that needs them.
            .. named.Contains(id) ? ["--plan", planPath] : (string[])["--hold", "none"],
            "--listen", "127.0.0.1:0", "--threads", Math.Max(1, threads / options.Workers).ToString(),
            "--weight-pages", options.Weights.Pages.ToString().ToLowerInvariant(),
            .. options.Weights.Locked ? ["--lock-memory"] : Array.Empty<string>(),
            .. nodes.Count > 0 ? ["--numa-node", nodes[number % nodes.Count].Number.ToString()] : Array.Empty<string>(),
            .. shares.Count > 0 ? ["--cpus", shares[number].ToString()] : Array.Empty<string>(),
        ], line => note($"[{id}] {line}"), progress is null ? null : progress.Add, stop);
    }

    /// <summary>From now on a process that ends is started again.</summary>
    /// <param name="restarted">Told where the next one listens, before <see cref="Restarted"/>.</param>
    public void Supervise(Action<WorkerReady> restarted)
    {
        foreach (var worker in _workers)
            worker.Supervise(
                (process, code) => Ended?.Invoke(process, code),
                process =>
                {
                    restarted(process);
                    Restarted?.Invoke(process);
                },
                fault => RestartFailed?.Invoke(worker.Process.Ready.Id, fault));
    }

    /// <summary>A worker is about to end for good: it is not started again.</summary>
    public void Forget(string id) => _workers.FirstOrDefault(worker => worker.Process.Ready.Id == id)?.Forget();

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_workers.Select(worker => worker.DisposeAsync().AsTask()));
        Directory.Delete(_directory, recursive: true);
    }
}
