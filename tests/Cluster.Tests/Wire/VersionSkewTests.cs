using System.Diagnostics;
using Grok1Cluster.Cluster.Tests.Failover;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Wire;

/// <summary>A coordinator process and a worker that is of another release, as it says over the wire.</summary>
public sealed class VersionSkewTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const uint Ahead = ExpertMethods.Protocol + 2;

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
        await using var worker = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-b"), describe: Upgraded);
        var result = await RunAsync(worker);
        Assert.Equal(5, result.ExitCode);
        Assert.Contains(Refusal, result.Error);
    }

    [Fact]
    public async Task A_worker_that_comes_back_two_releases_apart_is_not_asked_and_requests_that_need_it_say_why()
    {
        var first = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-b"));
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.WithoutExperts("tiny-b"), Threads = 1, WorkerAddresses = [first.Address], LostWorkerTimeout = TimeSpan.FromSeconds(0.1), KvMemory = 16 << 20,
        }, _ => { }, CancellationToken.None);
        var engine = session.StartEngine(new EngineOptions());
        await FailoverCluster.GenerateAsync(engine, tokens: 1);
        await first.DisposeAsync();
        await using var next = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-b"), first.Address, Upgraded);
        var said = "";
        // It is looked for again and again; until it has answered, requests say that it is lost.
        for (var limit = Stopwatch.StartNew(); !said.Contains("speaks protocol", StringComparison.Ordinal) && limit.Elapsed < Grok1Process.DefaultTimeout;)
            said = (await Assert.ThrowsAsync<DispatchException>(() => FailoverCluster.GenerateAsync(engine, tokens: 1))).Message;
        Assert.Contains(Refusal, said);
    }

    private static string Refusal => $"worker worker-0 (version 9.8.7) speaks protocol {Ahead}, this coordinator {ExpertMethods.Protocol}; they may be one apart: upgrade the older";

    private static void Upgraded(DescribeResponse said) => (said.Protocol, said.Version) = (Ahead, "9.8.7");

    private Task<Grok1Result> RunAsync(FaultyWorker worker) => Grok1Process.RunAsync(
        "run", "--model", models.Golden("tiny-b"), "--tokens", "5,17", "--max-tokens", "2", "--temperature", "0", "--ignore-eos", "--worker-address", worker.Address);
}
