using Grok1Cluster.Cli.Options;
using Grok1Cluster.Coordinator.Session;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Starts the cluster that the cluster flags describe.</summary>
internal static class ClusterStarter
{
    public static Task<ClusterSession> StartAsync(VerbContext context, ClusterSettings settings, CancellationToken cancellation, IReadOnlyList<string>? workerAddresses = null)
    {
        var options = new ClusterSessionOptions
        {
            StorePath = settings.Model,
            Workers = settings.Workers,
            WorkerAddresses = workerAddresses ?? [],
            Plan = settings.Plan,
            Precision = settings.Precision,
            Threads = settings.Threads,
            MemoryLimit = settings.MemoryLimitBytes,
            KvMemory = settings.KvMemoryBytes,
        };
        return ClusterSession.StartAsync(options, context.Output.Note, cancellation);
    }
}
