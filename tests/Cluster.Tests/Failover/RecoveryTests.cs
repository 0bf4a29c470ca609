using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.ExpertWorker;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>A step whose bundles were answered by other calls than planned has the same bits.</summary>
public sealed class RecoveryTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Bundles_that_a_second_call_answers_are_added_at_their_place_in_the_plan(int depth)
    {
        var path = models.Golden("tiny-a");
        var plan = Path.GetTempFileName();
        var hosts = new List<ExpertWorkerHost>();
        try
        {
            foreach (var id in WorkerIds.Numbered(3))
                hosts.Add(await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = id, ModelPath = path, Threads = 1 }, _ => { }, CancellationToken.None));
            await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
            {
                StorePath = path, WorkerAddresses = [.. hosts.Select(host => host.Address.ToString())], Threads = 1, PipelineDepth = depth, Plan = PlanRequest.Parse("whole"),
            }, _ => { }, CancellationToken.None);
            // The same cluster, told that everybody may stand in for everybody.
            var everybody = session.Plan! with { Bundles = [.. session.Plan.Bundles.Select(bundle => bundle with { Workers = [.. bundle.Workers, .. session.Plan.HoldingWorkers().Except(bundle.Workers)] })] };
            PlanFile.Save(plan, everybody);
            await using var replicated = await ClusterSession.StartAsync(session.Options with { Plan = PlanRequest.Parse(plan) }, _ => { }, CancellationToken.None);
            var expected = OneStep.Logits(session);
            Assert.Equal(expected, OneStep.Logits(replicated));
            // Its connections break under the session's feet; the first step finds that out by sending.
            await hosts[1].DisposeAsync();
            Assert.Equal(expected, OneStep.Logits(replicated));
            await hosts[0].DisposeAsync();
            Assert.Equal(expected, OneStep.Logits(replicated));
        }
        finally
        {
            foreach (var host in hosts)
                await host.DisposeAsync();
            File.Delete(plan);
        }
    }
}
