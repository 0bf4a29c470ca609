using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Workers that die, stop and come back while a text is generated, which is the same as if nothing had happened.</summary>
[Collection(nameof(Alone))]
public sealed class FailoverTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const int SigKill = 9, SigCont = 18, SigStop = 19;
    private const int Tokens = 300, Middle = 100;

    [Fact]
    public async Task Killing_a_worker_with_replicas_loses_no_token()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 3, replicas: 2);
        var expected = await cluster.GenerateAsync(Tokens);
        var disturbed = await cluster.GenerateAsync(Tokens, Middle, () => FailoverCluster.Signal(cluster.Worker(1).Id, SigKill));
        Assert.Equal(expected, disturbed);
        await cluster.StateAsync(1, ready: false);
        Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
        var outcomes = cluster.Session.WorkerPool!.Links.Select(link => link.Outcomes).ToArray();
        Assert.Equal((0, 0, 0), (outcomes[0].Lost, outcomes[2].Lost, outcomes[1].Retried));
    }

    [Fact]
    public async Task A_stopped_worker_is_stood_in_for_and_is_used_again_when_it_goes_on()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 2);
        var expected = await cluster.GenerateAsync(Tokens);
        // With both stopped in turn each has to stand in for the other, the first with what it missed while it stood.
        foreach (var worker in (int[])[0, 1])
        {
            Assert.Equal(expected, await cluster.GenerateAsync(Tokens, Middle, () => FailoverCluster.Signal(cluster.Worker(worker).Id, SigStop)));
            await cluster.StateAsync(worker, ready: false);
            var back = cluster.StateAsync(worker, ready: true);
            FailoverCluster.Signal(cluster.Worker(worker).Id, SigCont);
            await back;
        }
        Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
    }

    [Fact]
    public async Task A_stopped_worker_without_a_replica_is_waited_for_and_its_late_answers_are_dropped()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 1);
        var expected = await cluster.GenerateAsync(Tokens);
        var lost = cluster.StateAsync(1, ready: false);
        var disturbed = cluster.GenerateAsync(Tokens, Middle, () => FailoverCluster.Signal(cluster.Worker(1).Id, SigStop));
        await lost;
        FailoverCluster.Signal(cluster.Worker(1).Id, SigCont);
        Assert.Equal(expected, await disturbed);
        Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
    }

    [Fact]
    public async Task A_worker_that_crashes_as_it_was_told_to_says_so_first_and_loses_no_token()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 2, flags: number => number == 1 ? ["--fault", "crash,after=2000"] : []);
        var expected = await cluster.GenerateAsync(Tokens);
        Assert.StartsWith("FAULT INJECTION: worker worker-1 does wrong what --fault says: crash,after=2000", cluster.Worker(1).Error);
        while (cluster.Session.WorkerPool!.Links[1].IsReady)
            Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
        Assert.Equal(expected, await cluster.GenerateAsync(Tokens));
    }

    [Fact]
    public async Task A_worker_that_stays_away_ends_the_request_with_an_error_that_names_it_and_its_tiles()
    {
        await using var cluster = await FailoverCluster.StartAsync(models.Endless(), workers: 2, replicas: 1, TimeSpan.FromSeconds(0.5));
        var error = await Assert.ThrowsAsync<DispatchException>(() => cluster.GenerateAsync(Tokens, Middle, () => FailoverCluster.Signal(cluster.Worker(1).Id, SigKill)));
        Assert.Matches(@"^layer [0-3] experts? .* had no worker for 0\.5 s: worker worker-1 at 127\.0\.0\.1:\d+ is lost; start it again$", error.Message);
        Assert.Contains("expert 1 slice 0", cluster.Session.WorkerPool!.Coverage.Describe());
    }

    [Fact]
    public async Task A_killed_worker_of_this_machine_is_started_again_and_the_text_goes_on()
    {
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Endless(), Workers = 2, Threads = 2, Program = [Grok1Process.ExecutablePath], KvMemory = 16 << 20,
        }, _ => { }, CancellationToken.None);
        var disturbance = new Disturbance();
        var engine = session.StartEngine(new EngineOptions { Observer = disturbance });
        var expected = await FailoverCluster.GenerateAsync(engine, Tokens);
        var killed = session.LocalProcessIds[1];
        disturbance.Set(Middle, () => FailoverCluster.Signal(killed, SigKill));
        Assert.Equal(expected, await FailoverCluster.GenerateAsync(engine, Tokens));
        Assert.NotEqual(killed, session.LocalProcessIds[1]);
        Assert.Equal((1L, 1L), (session.WorkerPool!.Links[1].Outcomes.Lost, session.WorkerPool.Links[1].Outcomes.Retried));
    }
}
