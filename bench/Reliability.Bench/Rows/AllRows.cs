using Grok1Cluster.Model.Store;
using Grok1Cluster.Reliability.Bench.Clusters;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>The rows of docs/reliability.md, in its order.</summary>
internal static class AllRows
{
    /// <param name="options">What was asked for.</param>
    public static IReadOnlyList<Row> Make(BenchOptions options)
    {
        var model = BenchContext.FindModel(options.Model);
        var replicated = new TestedClusterOptions { Model = model };
        var alone = replicated with { Replicas = 1 };
        var network = replicated with { Supervised = false };
        // A worker does nothing wrong while the cluster warms up.
        var after = 2 * Layers(model) * options.Tokens;
        return
        [
            Done("none", "nothing", replicated, _ => Task.CompletedTask),
            Done("kill-replica", "kill -9 a worker, replicated", replicated, cluster => cluster.KillAsync(1)),
            Done("kill-alone", "kill -9 a worker, no replica, started again", alone, cluster => cluster.KillAsync(1)),
            new FaultRow("kill-away", "kill -9 a worker, no replica, stays away (limit 1 s)", alone with { Supervised = false, LostWorkerTimeout = TimeSpan.FromSeconds(1) }, cluster => cluster.KillAsync(1)) { MustFail = true },
            Stopped("stop-replica", "SIGSTOP a worker 5 s, replicated", replicated, 5),
            Stopped("stop-alone", "SIGSTOP a worker 5 s, no replica", alone, 5),
            Stopped("stop-replica-30", "SIGSTOP a worker 30 s, replicated", replicated, 30),
            Stopped("stop-alone-30", "SIGSTOP a worker 30 s, no replica", alone, 30),
            Done("stop-coordinator", "SIGSTOP the coordinator 5 s", replicated, cluster => cluster.StopCoordinatorAsync(TimeSpan.FromSeconds(5))) with { MustLoseNobody = true },
            Told("slow", "a worker 10 times slower, replicated", $"delay=10x,after={after}"),
            Told("corrupt", "1 answer in 50 altered in transit", $"corrupt,after={after},every=50"),
            Told("nan", "1 answer in 50 with a NaN", $"nan,after={after},every=50"),
            Told("shape", "1 answer in 50 too short", $"shape,after={after},every=50"),
            Told("drop", "no more answers", $"drop,after={after}"),
            Filtered("blackhole", "blackhole of 1 s", PacketFilter.Blackhole),
            Filtered("one-way", "one-way cut of 1 s", PacketFilter.OneWay),
            Filtered("loss", "50 % loss for 1 s", PacketFilter.HalfLost),
            new CoordinatorRow("kill-coordinator", "kill -9 one of two coordinators (streams of the other)"),
            new EtcdRow("etcd-away", $"etcd killed for {options.EtcdAway.TotalSeconds:0} s, a worker with it, another added"),
            .. OperationRow.All,
        ];

        FaultRow Done(string name, string text, TestedClusterOptions cluster, Func<TestedCluster, Task> inject) => new(name, text, cluster, inject) { LeavesHealthy = true };

        FaultRow Stopped(string name, string text, TestedClusterOptions cluster, int seconds) =>
            Done(name, text, cluster, running => running.StopAsync(1, TimeSpan.FromSeconds(seconds))) with { ServesAgain = 1 };

        // Such a worker does wrong to its end: the next run has another.
        FaultRow Told(string name, string text, string fault) => new(name, text, replicated with { Fault = $"{fault},worker=worker-1" }, _ => Task.CompletedTask);

        FaultRow Filtered(string name, string text, string rules) => Done(name, text, network, _ => Task.CompletedTask) with
        {
            Hosts = network.Workers,
            InjectNetwork = async lab =>
            {
                using (PacketFilter.Apply(lab.Hosts[1], rules))
                    await Task.Delay(TimeSpan.FromSeconds(1));
            },
        };
    }

    /// <summary>Of a model; 0 where there is none, so that the rows can still be named.</summary>
    private static int Layers(string model)
    {
        if (!Directory.Exists(model))
            return 0;
        using var store = ModelStore.Open(model);
        return store.Config.LayerCount;
    }
}
