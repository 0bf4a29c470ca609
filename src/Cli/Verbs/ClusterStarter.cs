using Grok1Cluster.Cli.Options;
using Grok1Cluster.Coordinator.Session;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Starts the cluster that the cluster flags describe.</summary>
internal static class ClusterStarter
{
    public static async Task<ClusterSession> StartAsync(VerbContext context, ClusterSettings settings, CancellationToken cancellation)
    {
        var session = await ClusterSession.StartAsync(Options(context, settings, cancellation), context.Output.Note, cancellation);
        if (session.Workers.Count > 0)
            context.Output.Note($"{session.Workers.Count} workers ready: {string.Join(", ", session.Workers.Select(worker => $"{worker.Id} (process {worker.Description.ProcessId})"))}");
        return session;
    }

    /// <summary>What the flags say; the model is found, and imported where it has to be.</summary>
    public static ClusterSessionOptions Options(VerbContext context, ClusterSettings settings, CancellationToken cancellation) => new()
    {
        StorePath = context.FindStore(settings.Model, cancellation),
        Workers = settings.Workers,
        WorkerAddresses = settings.WorkerAddresses,
        Plan = settings.Plan,
        ConcurrencyTarget = settings.ConcurrencyTarget,
        Precision = settings.Precision,
        Threads = settings.Threads,
        MemoryLimit = settings.MemoryLimitBytes,
        KvMemory = settings.KvMemoryBytes,
        PipelineDepth = settings.PipelineDepth,
        Weights = settings.Weights,
        SpreadOverNumaNodes = settings.SpreadOverNumaNodes,
    };
}
