using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Membership;

/// <summary>Worker processes that register in etcd.</summary>
public sealed class EtcdWorkerTests(EtcdFixture etcd, ModelFixture models) : IClassFixture<EtcdFixture>, IClassFixture<ModelFixture>
{
    private const int Kill9 = 9;

    [EtcdFact]
    public async Task A_worker_process_is_there_until_it_ends_and_a_killed_one_until_its_lease_does()
    {
        await using var cluster = new EtcdCluster((await etcd.ServerAsync()).Address);
        var coordinator = await cluster.CoordinatorAsync("c-0");
        using var polite = Start(cluster, "worker-0");
        using var killed = Start(cluster, "worker-1");
        await coordinator.UntilWorkersAsync("worker-0", "worker-1");
        Assert.Equal(await ListensOnAsync(killed), coordinator.Workers[1].Address);

        polite.Signal(PosixSignal.SIGTERM);
        await coordinator.UntilWorkersAsync("worker-1");
        Assert.Equal(0, (await polite.WaitForExitAsync()).ExitCode);

        Signals.Send(killed.Id, Kill9);
        // Its id is free again when its lease has ended; the next one waits for that.
        using var next = Start(cluster, "worker-1");
        var address = await ListensOnAsync(next);
        await coordinator.UntilAsync(() => coordinator.Workers is [{ Id: "worker-1" } worker] && worker.Address == address);
    }

    [EtcdFact]
    public async Task A_worker_that_is_told_to_end_while_it_registers_ends_with_0()
    {
        var server = await etcd.ServerAsync();
        await using var cluster = new EtcdCluster(server.Address);
        var coordinator = await cluster.CoordinatorAsync("c-0");
        using var first = Start(cluster, "worker-0");
        await coordinator.UntilWorkersAsync("worker-0");
        var known = await server.LeasesAsync();

        // The id is taken, and not given up: it waits for that with a lease of its own.
        using var second = Start(cluster, "worker-0");
        var ended = second.WaitForExitAsync();
        while (!(await server.LeasesAsync()).Except(known).Any())
            Assert.False(ended.IsCompleted);
        second.Signal(PosixSignal.SIGTERM);
        var result = await ended;
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("ends before it was ready", result.Error);
    }

    [Theory]
    [InlineData("others cannot reach 0.0.0.0; say --advertise HOST:PORT", "--listen", "0.0.0.0:0")]
    [InlineData("others cannot reach ::; say --advertise HOST:PORT", "--listen", "[::]:9050")]
    [InlineData("--advertise: others cannot reach port 0", "--advertise", "node3:0")]
    [InlineData("--cluster: 'a/b' cannot be a part of a key", "--cluster", "a/b")]
    [InlineData("--id: 'worker 1' is not up to 128 letters, digits", "--id", "worker 1")]
    public async Task An_address_or_name_that_others_cannot_use_is_refused_before_anything_is_loaded(string problem, string flag, string value)
    {
        var result = await Grok1Process.RunAsync("worker", "--model", models.Golden("tiny-b"), "--etcd", "127.0.0.1:1", "--insecure", flag, value);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(problem, result.Error);
    }

    private Grok1Process Start(EtcdCluster cluster, string id) => Grok1Process.Start(new ProcessStartInfo(Grok1Process.ExecutablePath,
    [
        "worker", "--model", models.Golden("tiny-b"), "--id", id, "--listen", "127.0.0.1:0", "--threads", "1",
        "--etcd", string.Join(',', cluster.Options.Endpoints), "--cluster", cluster.Options.Cluster,
    ]));

    private static async Task<string> ListensOnAsync(Grok1Process worker)
    {
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on ", StringComparison.Ordinal));
        return line[(line.LastIndexOf(' ') + 1)..];
    }
}
