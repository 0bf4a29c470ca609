using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Coordinator.Local;

/// <summary>The worker processes of a cluster on this machine, started together, and the plan file they read.</summary>
public sealed class LocalWorkers : IAsyncDisposable
{
    private readonly string _directory;
    private readonly IReadOnlyList<WorkerProcess> _processes;

    private LocalWorkers(string directory, IReadOnlyList<WorkerProcess> processes) => (_directory, _processes) = (directory, processes);

    /// <summary>The processes in the order of their numbers, to be told when one ends.</summary>
    public IReadOnlyList<WorkerProcess> Processes => _processes;

    /// <summary>The workers in the order of their numbers.</summary>
    public IEnumerable<WorkerReady> Ready => _processes.Select(process => process.Ready);

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
        var nodes = options.SpreadOverNumaNodes ? NumaNode.All() : [];
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var starting = WorkerIds.Numbered(options.Workers).Select(async (id, number) =>
        {
            try
            {
                return await WorkerProcess.StartAsync(options.Program,
                [
                    "worker", "--supervised", "--id", id, "--model", Path.GetFullPath(options.StorePath), "--plan", planPath,
                    "--listen", "127.0.0.1:0", "--threads", Math.Max(1, threads / options.Workers).ToString(),
                    "--weight-pages", options.Weights.Pages.ToString().ToLowerInvariant(),
                    .. options.Weights.Locked ? ["--lock-memory"] : Array.Empty<string>(),
                    .. nodes.Count > 0 ? ["--numa-node", nodes[number % nodes.Count].Number.ToString()] : Array.Empty<string>(),
                ], line => note($"[{id}] {line}"), options.Progress is { } progress ? progress.Add : null, failed.Token);
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
    }

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_processes.Select(process => process.DisposeAsync().AsTask()));
        Directory.Delete(_directory, recursive: true);
    }
}
