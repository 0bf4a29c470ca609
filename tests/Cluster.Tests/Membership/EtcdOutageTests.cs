using System.Net;
using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>etcd may be away for any time, and come back with or without what it knew.</summary>
public sealed class EtcdOutageTests
{
    [EtcdFact]
    public async Task While_etcd_is_killed_everything_known_stays_and_only_changes_fail()
    {
        await using var server = await EtcdServer.StartAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await StartAsync(cluster);
        var fewest = coordinator.Fewest();
        var plan = coordinator.Plan!;
        await server.KillAsync();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);
        Assert.Same(plan, coordinator.Plan);
        foreach (var change in new Func<Task>[]
        {
            () => coordinator.TrySetPlanAsync(EtcdCluster.Plan(6), plan, CancellationToken.None),
            () => coordinator.LockAsync("drain", CancellationToken.None),
            () => coordinator.WaitForAcknowledgementsAsync(5, CancellationToken.None),
            () => coordinator.RemoveWorkerAsync("worker-0:9050", CancellationToken.None),
        })
            Assert.Contains("etcd at ", (await Assert.ThrowsAsync<MembershipException>(change)).Message);

        await coordinator.AcknowledgeAsync(5, CancellationToken.None);
        await server.RestartAsync();
        await coordinator.UntilAsync(() => coordinator.IsConnected);
        await coordinator.WaitForAcknowledgementsAsync(5, CancellationToken.None).WaitAsync(Grok1Process.DefaultTimeout);
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(6), plan, CancellationToken.None));
        Assert.Equal(2, fewest());
        Assert.Contains(cluster.Notes, note => note.StartsWith($"etcd at {server.Address} is away (", StringComparison.Ordinal));
        Assert.Contains($"etcd at {server.Address} is back", cluster.Notes);
    }

    [EtcdFact]
    public async Task An_etcd_that_lost_everything_is_told_it_again()
    {
        await using var server = await EtcdServer.StartAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await StartAsync(cluster);
        await coordinator.AcknowledgeAsync(5, CancellationToken.None);
        var fewest = coordinator.Fewest();
        await server.KillAsync();
        server.Wipe();
        await server.RestartAsync();
        await coordinator.UntilAsync(() => coordinator is { IsConnected: true, Plan.Revision: > 0 });

        // Somebody who comes now learns everything from etcd.
        var other = await cluster.CoordinatorAsync("c-1");
        Assert.Equal(5, other.Plan!.Plan.Epoch);
        await other.UntilWorkersAsync("worker-0", "worker-1");
        await other.UntilAsync(() => other.Coordinators is [{ Id: "c-0", Epoch: 5 }, _]);
        Assert.True(await other.TrySetPlanAsync(EtcdCluster.Plan(6), other.Plan, CancellationToken.None));
        await coordinator.UntilAsync(() => coordinator.Plan is { Plan.Epoch: 6 });
        Assert.Equal(2, fewest());
    }

    [EtcdFact]
    public async Task An_older_plan_in_a_restored_etcd_gives_way_to_the_one_that_is_known()
    {
        await using var server = await EtcdServer.StartAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await StartAsync(cluster);
        var known = coordinator.Plan!.Plan;
        await server.PutAsync(cluster.Key("plan"), Cluster.Plans.PlanJson.Serialize(EtcdCluster.Plan(4, "old")));
        var other = await cluster.CoordinatorAsync("c-1");
        await other.UntilAsync(() => other.Plan is { Plan.Epoch: 5 });
        // The same plan, be it the object that was kept or one read back from etcd.
        Assert.Equal(Cluster.Plans.PlanJson.Serialize(known), Cluster.Plans.PlanJson.Serialize(coordinator.Plan.Plan));
    }

    [EtcdFact]
    public async Task A_worker_that_does_not_come_back_after_etcd_did_is_kept_for_the_grace_time_only()
    {
        await using var server = await EtcdServer.StartAsync();
        await using var cluster = new EtcdCluster(server.Address) { Options = Options(server.Address) with { Grace = TimeSpan.FromSeconds(2) } };
        var coordinator = await StartAsync(cluster);
        await server.PutAsync(cluster.Key("workers/ghost"), EtcdCluster.Json("ghost", "ghost:1"));
        await coordinator.UntilWorkersAsync("ghost", "worker-0", "worker-1");
        var kept = false;
        coordinator.Changed += () => kept |= coordinator.IsConnected && coordinator.Ids().Contains("ghost");
        await server.KillAsync();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);
        kept = false;
        server.Wipe();
        await server.RestartAsync();
        await coordinator.UntilWorkersAsync("worker-0", "worker-1");
        Assert.True(kept);
    }

    [EtcdFact]
    public async Task A_silent_etcd_is_noticed_and_drops_nobody_when_it_speaks_again()
    {
        await using var server = await EtcdServer.StartAsync();
        await using var cluster = new EtcdCluster(server.Address) { Options = Options(server.Address) with { Lease = TimeSpan.FromSeconds(5) } };
        var coordinator = await StartAsync(cluster);
        var fewest = coordinator.Fewest();
        server.Pause();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);
        server.Resume();
        await coordinator.UntilAsync(() => coordinator.IsConnected);
        await cluster.WorkerAsync("worker-2");
        await coordinator.UntilWorkersAsync("worker-0", "worker-1", "worker-2");
        Assert.Equal(2, fewest());
    }

    [EtcdFact]
    public async Task Changes_and_a_compaction_behind_a_cut_network_are_caught_up_with()
    {
        await using var server = await EtcdServer.StartAsync();
        var target = IPEndPoint.Parse(server.Address);
        var link = new DelayRelay(new IPEndPoint(IPAddress.Loopback, 0), target, TimeSpan.Zero);
        var near = link.Address;
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await cluster.CoordinatorAsync("c-0", options: cluster.Options with { Endpoints = [near.ToString()] });
        await server.PutAsync(cluster.Key("workers/old"), EtcdCluster.Json("old", "old:1"));
        var plan = EtcdCluster.Plan(1);
        Assert.True(await coordinator.TrySetPlanAsync(plan, null, CancellationToken.None));
        await coordinator.UntilWorkersAsync("old");
        link.Dispose();
        await coordinator.UntilAsync(() => !coordinator.IsConnected);

        var other = await cluster.CoordinatorAsync("c-1");
        Assert.True(await other.TrySetPlanAsync(EtcdCluster.Plan(2), other.Plan, CancellationToken.None));
        await server.PutAsync(cluster.Key("workers/new"), EtcdCluster.Json("new", "new:1"));
        await server.CompactAsync();
        using var again = new DelayRelay(near, target, TimeSpan.Zero);
        await coordinator.UntilWorkersAsync("new", "old");
        Assert.Equal(2, coordinator.Plan!.Plan.Epoch);
    }

    private static Cluster.Membership.Etcd.EtcdOptions Options(string endpoint) => new EtcdCluster(endpoint).Options;

    /// <summary>A coordinator, two workers and a plan of epoch 5.</summary>
    private static async Task<Cluster.Membership.Etcd.EtcdMembership> StartAsync(EtcdCluster cluster)
    {
        await cluster.WorkerAsync("worker-0");
        await cluster.WorkerAsync("worker-1");
        var coordinator = await cluster.CoordinatorAsync("c-0");
        Assert.True(await coordinator.TrySetPlanAsync(EtcdCluster.Plan(5), null, CancellationToken.None));
        await coordinator.UntilWorkersAsync("worker-0", "worker-1");
        return coordinator;
    }
}
