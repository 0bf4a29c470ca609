using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>A coordinator and workers that find each other by an etcd of their own, and hold what the plan gives them, twice.</summary>
internal sealed class RegisteredCluster : IAsyncDisposable
{
    /// <summary>At first, and then as many as the plan has to be for.</summary>
    public const int Workers = 3;

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private RegisteredCluster(EtcdServer etcd) => Etcd = etcd;

    public EtcdServer Etcd { get; }

    public WorkerFleet Fleet { get; } = new();

    public ServingProcess Coordinator { get; private set; } = null!;

    /// <param name="model">Directory of a store.</param>
    public static async Task<RegisteredCluster> StartAsync(string model)
    {
        var cluster = new RegisteredCluster(await EtcdServer.StartAsync());
        try
        {
            for (var number = 0; number < Workers; number++)
                await cluster.StartWorkerAsync(model, $"worker-{number}");
            // In exact, since another plan adds in another order, which rounds to other texts in fast.
            cluster.Coordinator = await ServingProcess.StartAsync(
                ["--model", model, "--port", "0", "--advertise", "coordinator:8080", "--threads", "1", "--plan", "whole", "--replicas", "2", "--precision", "exact",
                "--etcd", cluster.Etcd.Address, "--least-workers", $"{Workers}"]);
            await cluster.Coordinator.UntilReadyAsync(Limit);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public Task StartWorkerAsync(string model, string id) => Fleet.StartAsync(id, "--model", model, "--hold", "none", "--etcd", Etcd.Address);

    public async ValueTask DisposeAsync()
    {
        Coordinator?.Dispose();
        Fleet.Dispose();
        await Etcd.DisposeAsync();
    }
}
