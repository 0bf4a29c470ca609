using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>Two coordinators over the same workers, by one plan with two holders for each bundle.</summary>
internal sealed class PairedCluster : IDisposable
{
    private const int Workers = 3;

    private readonly string _plan = Path.GetTempFileName();
    private readonly string _model;

    private PairedCluster(string model) => _model = model;

    public WorkerFleet Fleet { get; } = new();

    public ServingProcess First { get; private set; } = null!;

    public ServingProcess Second { get; private set; } = null!;

    /// <param name="model">Directory of a store.</param>
    public static async Task<PairedCluster> StartAsync(string model)
    {
        var cluster = new PairedCluster(model);
        try
        {
            PlanFile.Save(cluster._plan, BenchPlans.Whole(model, Workers, replicas: 2));
            foreach (var id in WorkerIds.Numbered(Workers))
                await cluster.Fleet.StartAsync(id, "--model", model);
            cluster.First = await cluster.ServeAsync(port: 0);
            cluster.Second = await cluster.ServeAsync(port: 0);
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    /// <summary>The second coordinator, which has ended, at the address it had.</summary>
    public async Task StartSecondAgainAsync()
    {
        var ended = Second;
        Second = await ServeAsync(ended.Url.Port);
        ended.Dispose();
    }

    public void Dispose()
    {
        First?.Dispose();
        Second?.Dispose();
        Fleet.Dispose();
        File.Delete(_plan);
    }

    private Task<ServingProcess> ServeAsync(int port) =>
        ServingProcess.StartAsync(["--model", _model, "--plan", _plan, "--threads", "1", "--worker-address", string.Join(',', Fleet.Addresses), "--port", $"{port}"]);
}
