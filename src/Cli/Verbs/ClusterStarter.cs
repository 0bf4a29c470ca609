using Grok1Cluster.Cli.Options;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Model.Catalog;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Starts the cluster that the cluster flags describe.</summary>
internal static class ClusterStarter
{
    public static Task<ClusterSession> StartAsync(VerbContext context, ClusterSettings settings, CancellationToken cancellation) =>
        StartAsync(context, Options(context, settings, cancellation), cancellation);

    /// <summary>What the flags ask for, the model found.</summary>
    public static ClusterSessionOptions Options(VerbContext context, ClusterSettings settings, CancellationToken cancellation) => new()
    {
        StorePath = context.FindStore(settings.Model, cancellation),
        Workers = settings.Workers,
        WorkerAddresses = settings.WorkerAddresses,
        Tls = settings.Tls,
        Plan = settings.Plan,
        ConcurrencyTarget = settings.ConcurrencyTarget,
        Precision = settings.Precision,
        Threads = settings.Threads,
        MemoryLimit = settings.MemoryLimitBytes,
        KvMemory = settings.KvMemoryBytes,
        KvFormat = settings.KvFormat,
        Device = settings.Device,
        KernelCache = Path.Combine(ModelPlaces.FromEnvironment().Cache, "kernels"),
        PipelineDepth = settings.PipelineDepth,
        LostWorkerTimeout = settings.LostWorkerTimeout,
        Copies = settings.Copies,
        Weights = settings.Weights,
        SpreadOverNumaNodes = settings.SpreadOverNumaNodes,
    };

    /// <inheritdoc cref="StartAsync(VerbContext, ClusterSettings, CancellationToken)"/>
    public static async Task<ClusterSession> StartAsync(VerbContext context, ClusterSessionOptions options, CancellationToken cancellation)
    {
        SecurityFlags.WarnOfClear(context, options);
        var session = await ClusterSession.StartAsync(options, context.Output.Note, cancellation);
        if (session.Workers.Count > 0)
            context.Output.Note($"{session.Workers.Count} {(session.Workers.Count == 1 ? "worker" : "workers")} ready: {string.Join(", ", session.Workers.Select(worker => $"{worker.Id} (process {worker.Description.ProcessId})"))}");
        if (session.WorkerPool is { } pool)
            pool.Changed += (link, change) =>
            {
                if (change == WorkerChange.Back)
                    context.Output.Note($"worker {link.Id} (process {link.Connection.Description.ProcessId}) is back");
                else if (change == WorkerChange.Lost)
                    context.Output.Note($"worker {link.Id} at {link.Connection.Address} is lost");
            };
        session.LocalWorkers?.RestartFailed += (id, fault) => context.Output.Note($"worker {id} could not be started again: {fault.Message}");
        return session;
    }
}
