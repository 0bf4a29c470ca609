using System.Text;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Plans;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>What coordinators agree on, while etcd is well.</summary>
public sealed class EtcdMembershipTests(EtcdFixture etcd) : IClassFixture<EtcdFixture>
{
    [EtcdFact]
    public async Task Workers_that_come_leave_and_go_are_seen_by_every_coordinator()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var first = await cluster.CoordinatorAsync("c-0");
        Assert.Empty(first.Workers);
        await using var worker = await cluster.WorkerAsync("worker-1");
        await cluster.WorkerAsync("worker-0");
        await first.UntilWorkersAsync("worker-0", "worker-1");
        var second = await cluster.CoordinatorAsync("c-1");
        Assert.Equal(first.Workers, second.Workers);
        Assert.Equal("worker-1:9050", first.Workers[1].Address);

        worker.Update(EtcdCluster.Record("worker-1") with { Leaving = true });
        await second.UntilAsync(() => second.Workers[1].Leaving);
        await worker.DisposeAsync();
        Assert.Null(await server.GetAsync(cluster.Key("workers/worker-1")));
        await first.UntilWorkersAsync("worker-0");
        await second.UntilWorkersAsync("worker-0");
    }

    [EtcdFact]
    public async Task What_a_worker_holds_can_be_read_in_etcd()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        await cluster.WorkerAsync("worker-0");
        var json = Encoding.UTF8.GetString((await server.GetAsync(cluster.Key("workers/worker-0")))!);
        Assert.StartsWith("""{"id":"worker-0","address":"worker-0:9050","bytes":1000,"capacity_bytes":2000,"tiles":3,"tiles_digest":"00","version":"0.1.0","protocol":1,"kernel":"k","fingerprint":"f","leaving":false,"instance":""", json);
    }

    [EtcdFact]
    public async Task A_second_worker_of_an_id_is_refused_unless_it_is_at_the_same_address()
    {
        await using var cluster = new EtcdCluster((await etcd.ServerAsync()).Address);
        var impatient = cluster.Options with { Lease = TimeSpan.FromSeconds(1), CallTimeout = TimeSpan.FromSeconds(1) };
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await cluster.WorkerAsync("worker-0", "one:9050");
        var refused = await Assert.ThrowsAsync<MembershipException>(() => cluster.WorkerAsync("worker-0", "other:9050", impatient));
        Assert.Equal("worker id worker-0 is taken by the worker at one:9050; give each its own --id, or stop that one", refused.Message);
        await cluster.WorkerAsync("worker-0", "one:9050");
        Assert.Equal("one:9050", Assert.Single(coordinator.Workers).Address);
    }

    [EtcdFact]
    public async Task A_second_coordinator_of_an_id_is_refused()
    {
        await using var cluster = new EtcdCluster((await etcd.ServerAsync()).Address);
        var impatient = cluster.Options with { Lease = TimeSpan.FromSeconds(1), CallTimeout = TimeSpan.FromSeconds(1) };
        await cluster.CoordinatorAsync("c-0");
        var refused = await Assert.ThrowsAsync<MembershipException>(() => cluster.CoordinatorAsync("c-0", options: impatient, address: "other:8080"));
        Assert.StartsWith("coordinator id c-0 is taken by the coordinator at c-0:8080; ", refused.Message);
    }

    [EtcdFact]
    public async Task A_worker_takes_the_id_of_one_that_died_when_its_lease_has_ended()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await cluster.CoordinatorAsync("c-0");
        var seen = coordinator.UntilAsync(() => coordinator.Workers is [{ Address: "dead:9050" }]);
        await server.PutDyingAsync((cluster.Key("workers/worker-0"), EtcdCluster.Json("worker-0", "dead:9050")));
        await seen;
        await cluster.WorkerAsync("worker-0", "new:9050");
        await coordinator.UntilAsync(() => coordinator.Workers is [{ Address: "new:9050" }]);
    }

    [EtcdFact]
    public async Task Of_two_coordinators_that_change_the_plan_one_succeeds()
    {
        await using var cluster = new EtcdCluster((await etcd.ServerAsync()).Address);
        var first = await cluster.CoordinatorAsync("c-0");
        var second = await cluster.CoordinatorAsync("c-1");
        Assert.Null(first.Plan);
        var done = await Task.WhenAll(
            first.TrySetPlanAsync(EtcdCluster.Plan(1, "a"), null, CancellationToken.None),
            second.TrySetPlanAsync(EtcdCluster.Plan(1, "b"), null, CancellationToken.None));
        Assert.Single(done, succeeded => succeeded);
        await first.UntilAsync(() => first.Plan is not null);
        await second.UntilAsync(() => second.Plan?.Revision == first.Plan!.Revision);
        Assert.Equal(done[0] ? ["a"] : ["b"], second.Plan!.Plan.HoldingWorkers().AsEnumerable());

        var old = first.Plan!;
        Assert.True(await second.TrySetPlanAsync(EtcdCluster.Plan(2, "c"), second.Plan, CancellationToken.None));
        Assert.Equal(2, second.Plan.Plan.Epoch);
        Assert.False(await first.TrySetPlanAsync(EtcdCluster.Plan(2, "d"), old, CancellationToken.None));
        await first.UntilAsync(() => first.Plan is { Plan.Epoch: 2 });
        Assert.False(await first.TrySetPlanAsync(EtcdCluster.Plan(3, "e"), old, CancellationToken.None));
        Assert.Equal(["c"], first.Plan!.Plan.HoldingWorkers().AsEnumerable());
    }

    [EtcdFact]
    public async Task A_plan_of_Grok_1_for_64_workers_with_replicas_fits_into_etcd_and_comes_back()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        string[] workers = [.. Enumerable.Range(0, 64).Select(number => $"gpu-node-{number:000}.rack-{number / 8}.example.org")];
        var plan = Planner.Sliced(Geometries.Grok1, workers) with { Epoch = 7 };
        plan = plan with { Bundles = [.. plan.Bundles.Select((bundle, number) => bundle with { Workers = [bundle.Workers[0], workers[number * 7 % 63 == Array.IndexOf(workers, bundle.Workers[0]) ? 63 : number * 7 % 63]] })] };
        var first = await cluster.CoordinatorAsync("c-0", Geometries.Grok1);
        var second = await cluster.CoordinatorAsync("c-1", Geometries.Grok1);
        Assert.True(await first.TrySetPlanAsync(plan, null, CancellationToken.None));
        await second.UntilAsync(() => second.Plan is not null);
        Assert.Equal(PlanJson.Serialize(plan), PlanJson.Serialize(second.Plan!.Plan));
        Assert.InRange((await server.GetAsync(cluster.Key("plan")))!.Length, 1, 100_000);
    }

    [EtcdFact]
    public async Task Acknowledgements_are_waited_for_until_every_coordinator_that_lives_has_given_its_own()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var first = await cluster.CoordinatorAsync("c-0");
        var second = await cluster.CoordinatorAsync("c-1");
        await first.UntilAsync(() => first.Coordinators.Count == 2);
        await first.AcknowledgeAsync(3, CancellationToken.None);
        // One that has no plan yet holds nobody up.
        await first.WaitForAcknowledgementsAsync(3, CancellationToken.None).WaitAsync(Grok1Process.DefaultTimeout);
        await second.AcknowledgeAsync(2, CancellationToken.None);
        await first.UntilAsync(() => first.Coordinators[1].Epoch == 2);
        var waiting = first.WaitForAcknowledgementsAsync(3, CancellationToken.None);
        Assert.False(waiting.IsCompleted);
        await second.AcknowledgeAsync(4, CancellationToken.None);
        await waiting.WaitAsync(Grok1Process.DefaultTimeout);

        // One that never acknowledges: it dies, and nobody waits for it any longer.
        var third = first.UntilAsync(() => first.Coordinators.Count == 3);
        await server.PutDyingAsync((cluster.Key("coordinators/c-2"), """{"id":"c-2","address":"c-2:8080","epoch":2,"version":"0.1.0"}"""));
        await third;
        await first.WaitForAcknowledgementsAsync(3, CancellationToken.None).WaitAsync(Grok1Process.DefaultTimeout);
        Assert.Equal(2, first.Coordinators.Count);
    }

    [EtcdFact]
    public async Task A_coordinator_that_lives_and_does_not_follow_a_plan_is_named_when_the_wait_for_it_ends()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var first = await cluster.CoordinatorAsync("c-0", options: cluster.Options with { AcknowledgementTimeout = TimeSpan.FromMilliseconds(100) });
        var second = await cluster.CoordinatorAsync("c-1");
        await second.AcknowledgeAsync(2, CancellationToken.None);
        await first.UntilAsync(() => first.Coordinators is [_, { Epoch: 2 }]);
        await first.AcknowledgeAsync(3, CancellationToken.None);
        var end = await Assert.ThrowsAsync<MembershipException>(() => first.WaitForAcknowledgementsAsync(3, CancellationToken.None).WaitAsync(Grok1Process.DefaultTimeout));
        Assert.Contains("coordinator c-1 at c-1:8080", end.Message);
        Assert.DoesNotContain("c-0", end.Message);
    }

    [EtcdFact]
    public async Task One_operation_at_a_time_has_the_lock_and_one_that_died_loses_it()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var first = await cluster.CoordinatorAsync("c-0");
        var second = await cluster.CoordinatorAsync("c-1");
        await using (await first.LockAsync("drain of worker-3", CancellationToken.None))
        {
            var refused = await Assert.ThrowsAsync<MembershipException>(() => second.LockAsync("move", CancellationToken.None));
            Assert.Equal("drain of worker-3 by coordinator c-0 is under way; wait for it, then try again", refused.Message);
        }
        await using (await second.LockAsync("move", CancellationToken.None)) { }

        var dying = first.UntilWorkersAsync("dead");
        await server.PutDyingAsync((cluster.Key("lock"), """{"operation":"move","coordinator":"dead","token":"x"}"""), (cluster.Key("workers/dead"), EtcdCluster.Json("dead", "dead:1")));
        Assert.Contains("coordinator dead", (await Assert.ThrowsAsync<MembershipException>(() => first.LockAsync("move", CancellationToken.None))).Message);
        await dying;
        await first.UntilWorkersAsync();
        await using (await first.LockAsync("move", CancellationToken.None)) { }
    }

    [EtcdFact]
    public async Task A_worker_that_an_operator_takes_out_is_gone_and_none_can_be_added_by_hand()
    {
        await using var cluster = new EtcdCluster((await etcd.ServerAsync()).Address);
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await cluster.WorkerAsync("worker-0");
        await cluster.WorkerAsync("worker-1");
        await coordinator.UntilWorkersAsync("worker-0", "worker-1");
        await coordinator.RemoveWorkerAsync("worker-0:9050", CancellationToken.None);
        await coordinator.UntilWorkersAsync("worker-1");
        await coordinator.RemoveWorkerAsync("nowhere:9050", CancellationToken.None);
        Assert.Contains("register themselves: start the one at x:1 with --etcd ", (await Assert.ThrowsAsync<MembershipException>(() => coordinator.AddWorkerAsync("x:1", CancellationToken.None))).Message);
    }

    [EtcdFact]
    public async Task An_endpoint_that_is_not_there_is_passed_over()
    {
        await using var cluster = new EtcdCluster("127.0.0.1:1", (await etcd.ServerAsync()).Address);
        var coordinator = await cluster.CoordinatorAsync("c-0");
        await cluster.WorkerAsync("worker-0");
        await coordinator.UntilWorkersAsync("worker-0");
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(1), null, CancellationToken.None));
    }

    [Fact]
    public async Task Without_any_etcd_a_start_says_where_it_was_looked_for()
    {
        await using var cluster = new EtcdCluster("127.0.0.1:1", "127.0.0.1:2");
        var impatient = cluster.Options with { StartTimeout = TimeSpan.Zero, Lease = TimeSpan.FromSeconds(0.5), CallTimeout = TimeSpan.FromSeconds(0.5) };
        var refused = await Assert.ThrowsAsync<MembershipException>(() => cluster.WorkerAsync("worker-0", options: impatient));
        Assert.StartsWith("etcd at 127.0.0.1:1, 127.0.0.1:2 does not answer (", refused.Message);
        Assert.EndsWith("; start it, or correct --etcd", refused.Message);
    }
}
