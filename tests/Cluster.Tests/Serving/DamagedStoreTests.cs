using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Model;

namespace Grok1Cluster.Cluster.Tests.Serving;

/// <summary>A store of which a bit has flipped since it was written.</summary>
public sealed class DamagedStoreTests : IDisposable
{
    private readonly ModelFixture _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_worker_does_not_start_on_a_damaged_tile_and_names_it()
    {
        var (model, fault) = Damage();
        Assert.Matches(fault, (await Assert.ThrowsAsync<ModelException>(() => StartAsync(model, verify: true))).Message);
        await using var unverified = await StartAsync(model, verify: false);
        Assert.True(unverified.TileCount > 0);
    }

    [Fact]
    public async Task One_process_without_workers_does_not_start_on_a_damaged_expert_either()
    {
        var (model, fault) = Damage();
        var options = new ClusterSessionOptions { StorePath = model, Program = ["unused"], Threads = 1 };
        Assert.Matches(fault, (await Assert.ThrowsAsync<ModelException>(() => ClusterSession.StartAsync(options, _ => { }, CancellationToken.None))).Message);
    }

    /// <summary>Flips a bit of an expert, and tells how that has to be reported.</summary>
    private (string Model, string Fault) Damage()
    {
        var model = _models.Golden("tiny-a");
        var file = Path.Combine(model, "experts", "layer-01-expert-2.bin");
        using var stream = File.Open(file, FileMode.Open);
        stream.Position = stream.Length / 2;
        var value = stream.ReadByte();
        stream.Position--;
        stream.WriteByte((byte)(value ^ 0x10));
        return (model, $@"^{file}: block \d+ \(layer 1 expert 2, columns from \d+\) has another SHA-256 than in the manifest; ");
    }

    private static Task<ExpertWorkerHost> StartAsync(string model, bool verify) =>
        ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = "worker-0", ModelPath = model, Threads = 1, Verify = verify }, _ => { }, CancellationToken.None);
}
