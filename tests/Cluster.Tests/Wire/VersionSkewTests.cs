using Grok1Cluster.Cluster.Tests.Failover;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Wire;

/// <summary>A coordinator process and a worker that is of another release, as it says over the wire.</summary>
public sealed class VersionSkewTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Theory]
    [InlineData(ExpertMethods.Protocol - 1)]
    [InlineData(ExpertMethods.Protocol + 1)]
    public async Task A_worker_one_release_apart_computes(uint protocol)
    {
        await using var worker = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-b"));
        worker.Describe = said => said.Protocol = protocol;
        var result = await RunAsync(worker);
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.NotEmpty(result.Output);
    }

    [Fact]
    public async Task A_worker_two_releases_apart_is_refused_with_both_versions_and_what_to_do()
    {
        const uint Ahead = ExpertMethods.Protocol + 2;
        await using var worker = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-b"));
        worker.Describe = said => (said.Protocol, said.Version) = (Ahead, "9.8.7");
        var result = await RunAsync(worker);
        Assert.Equal(5, result.ExitCode);
        Assert.Contains($"worker worker-0 (version 9.8.7) speaks protocol {Ahead}, this coordinator {ExpertMethods.Protocol}; they may be one apart: upgrade the older", result.Error);
    }

    private Task<Grok1Result> RunAsync(FaultyWorker worker) => Grok1Process.RunAsync(
        "run", "--model", models.Golden("tiny-b"), "--tokens", "5,17", "--max-tokens", "2", "--temperature", "0", "--ignore-eos", "--worker-address", worker.Address);
}
