using System.Runtime.InteropServices;
using System.Text.Json;
using Grok1Cluster.Cluster.Tests.Membership;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>A fleet as operators have it: etcd, coordinators and workers are processes, and any of them may go.</summary>
[Collection(nameof(Alone))]
public sealed class FleetTests(EtcdFixture etcd) : IClassFixture<EtcdFixture>
{
    private const int Kill9 = 9;

    [EtcdFact]
    public async Task Workers_with_nothing_get_their_parts_and_a_rolling_restart_of_all_fails_no_request()
    {
        using var fleet = new ServedFleet((await etcd.ServerAsync()).Address);
        var addresses = new Dictionary<string, string>();
        foreach (var id in new[] { "worker-0", "worker-1", "worker-2" })
            addresses[id] = await fleet.StartWorkerAsync(id);
        using var coordinator = await fleet.StartCoordinatorAsync("c-0", leastWorkers: 3);
        var answered = await fleet.UnderLoadAsync(coordinator, async () =>
        {
            foreach (var (id, address) in addresses)
            {
                fleet.Worker(id).Signal(PosixSignal.SIGTERM);
                Assert.Equal(0, (await fleet.Worker(id).WaitForExitAsync()).ExitCode);
                await fleet.StartWorkerAsync(id, address);
                await coordinator.Process.WaitForErrorLineAsync(line => line.Contains($"worker {id} at {address} is back"));
                await fleet.UntilReadyAsync(coordinator);
            }
        });
        Assert.True(answered > 3);
    }

    [Fact]
    public async Task A_join_another_cut_and_a_rebalance_fail_no_request_and_change_no_text()
    {
        var sliced = Path.GetTempFileName();
        try
        {
            using var fleet = new ServedFleet(etcd: null) { Precision = "exact" };
            await fleet.StartWorkerAsync("worker-0");
            await fleet.StartWorkerAsync("worker-1");
            using var coordinator = await fleet.StartCoordinatorAsync("c-0", leastWorkers: 2);
            await GrokAsync("plan", "--model", "demo", "--workers", "3", "--plan", "sliced", "--out", sliced);
            var added = await fleet.StartWorkerAsync("worker-2");
            var answered = new List<int>();
            foreach (string[] change in new[] { ["join", added], ["apply", sliced], (string[])["rebalance"] })
                answered.Add(await fleet.UnderLoadAsync(coordinator, () => GrokAsync(["cluster", .. change, "--url", coordinator.Url])));
            Assert.All(answered, requests => Assert.True(requests >= 2));
            Assert.Equal((4L, 3), await PlanAsync(coordinator));
        }
        finally
        {
            File.Delete(sliced);
        }
    }

    [EtcdFact]
    public async Task A_killed_coordinator_harms_no_other_and_takes_the_workers_as_they_are_when_it_is_back()
    {
        using var fleet = new ServedFleet((await etcd.ServerAsync()).Address);
        foreach (var id in new[] { "worker-0", "worker-1" })
            await fleet.StartWorkerAsync(id);
        using var first = await fleet.StartCoordinatorAsync("c-0", leastWorkers: 2);
        using var second = await fleet.StartCoordinatorAsync("c-1", leastWorkers: 2);
        await fleet.UnderLoadAsync(first, async () =>
        {
            Signals.Send(second.Process.Id, Kill9);
            await second.Process.WaitForExitAsync();
            // A change waits for every coordinator that lives, and the dead one's lease ends.
            var moved = await Grok1Process.RunAsync("cluster", "drain", "worker-1", "--url", first.Url);
            Assert.Equal((0, "drain worker-1: done"), (moved.ExitCode, moved.Error.Trim()));
            Assert.Equal(0, (await fleet.Worker("worker-1").WaitForExitAsync()).ExitCode);
        });
        using var again = await fleet.StartCoordinatorAsync("c-1", leastWorkers: 1);
        Assert.Equal(fleet.Reference, await fleet.GenerateAsync(again));
    }

    [EtcdFact]
    public async Task A_worker_that_registers_later_gets_its_part_without_anybody_acting_at_every_coordinator()
    {
        using var fleet = new ServedFleet((await etcd.ServerAsync()).Address);
        await fleet.StartWorkerAsync("worker-0");
        await fleet.StartWorkerAsync("worker-1");
        using var first = await fleet.StartCoordinatorAsync("c-0", leastWorkers: 2);
        using var second = await fleet.StartCoordinatorAsync("c-1", leastWorkers: 2);
        await fleet.StartWorkerAsync("worker-2");
        foreach (var coordinator in new[] { first, second })
            await coordinator.Process.WaitForErrorLineAsync(line => line.Contains("plan 2 holds: 3 workers"));
        Assert.NotEmpty(await fleet.GenerateAsync(first));
        Assert.Equal(await fleet.GenerateAsync(first), await fleet.GenerateAsync(second));
    }

    private static async Task GrokAsync(params string[] arguments)
    {
        var result = await Grok1Process.RunAsync(arguments);
        Assert.True(result.ExitCode == 0, result.Error);
    }

    /// <summary>The epoch of the plan that holds, and the workers that it names.</summary>
    private static async Task<(long Epoch, int Workers)> PlanAsync(ServedCoordinator coordinator)
    {
        using var http = new HttpClient();
        using var plan = JsonDocument.Parse(await http.GetStringAsync($"{coordinator.Url}/cluster/plan"));
        var workers = plan.RootElement.GetProperty("bundles").EnumerateArray().SelectMany(bundle => bundle.GetProperty("workers").EnumerateArray().Select(worker => worker.GetString()));
        return (plan.RootElement.GetProperty("epoch").GetInt64(), workers.Distinct().Count());
    }
}
