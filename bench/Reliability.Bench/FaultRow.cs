using Grok1Cluster.Model.Store;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Reliability.Bench;

/// <summary>A row of the table of faults: what is done to which cluster while texts are generated.</summary>
/// <param name="Name">For <c>--fault</c>.</param>
/// <param name="Text">For people.</param>
/// <param name="Options">The cluster.</param>
/// <param name="Inject">What is done.</param>
internal sealed record FaultRow(string Name, string Text, TestedClusterOptions Options, Func<TestedCluster, Task> Inject)
{
    private static readonly TimeSpan Stopped = TimeSpan.FromSeconds(5);

    /// <summary>Hosts that the row needs, at a network of their own.</summary>
    public int Hosts { get; init; }

    /// <summary>Whether streams are to end with an error that names the tiles.</summary>
    public bool MustFail { get; init; }

    /// <summary>What is done to the hosts instead; it needs a packet filter.</summary>
    public Func<NetworkLab, TestedCluster, Task>? InjectNetwork { get; init; }

    /// <summary>All rows.</summary>
    /// <param name="model">A model store.</param>
    /// <param name="tokens">Of a request.</param>
    public static IReadOnlyList<FaultRow> All(string model, int tokens)
    {
        using var store = ModelStore.Open(model);
        // A worker does nothing wrong while the cluster warms up.
        var after = 2 * store.Config.LayerCount * tokens;
        var replicated = new TestedClusterOptions { Model = model };
        var alone = replicated with { Replicas = 1 };
        var network = replicated with { Supervised = false };
        return
        [
            new("none", "nothing", replicated, Nothing),
            new("kill-replica", "kill -9 a worker, replicated", replicated, cluster => cluster.KillAsync(1)),
            new("kill-alone", "kill -9 a worker, no replica, started again", alone, cluster => cluster.KillAsync(1)),
            new("kill-away", "kill -9 a worker, no replica, stays away (limit 1 s)", alone with { Supervised = false, LostWorkerTimeout = TimeSpan.FromSeconds(1) }, cluster => cluster.KillAsync(1)) { MustFail = true },
            new("stop-replica", "SIGSTOP a worker 5 s, replicated", replicated, cluster => cluster.StopAsync(1, Stopped)),
            new("stop-alone", "SIGSTOP a worker 5 s, no replica", alone, cluster => cluster.StopAsync(1, Stopped)),
            new("stop-coordinator", "SIGSTOP the coordinator 5 s", replicated, cluster => cluster.StopCoordinatorAsync(Stopped)),
            Told("slow", "a worker 10 times slower, replicated", $"delay=10x,after={after}"),
            Told("corrupt", "1 answer in 50 altered in transit", $"corrupt,after={after},every=50"),
            Told("nan", "1 answer in 50 with a NaN", $"nan,after={after},every=50"),
            Told("shape", "1 answer in 50 too short", $"shape,after={after},every=50"),
            Told("drop", "no more answers", $"drop,after={after}"),
            Filtered("blackhole", "blackhole of 1 s", PacketFilter.Blackhole),
            Filtered("one-way", "one-way cut of 1 s", PacketFilter.OneWay),
            Filtered("loss", "50 % loss for 1 s", PacketFilter.HalfLost),
        ];

        FaultRow Told(string name, string text, string fault) => new(name, text, replicated with { Fault = $"{fault},worker=worker-1" }, Nothing);

        FaultRow Filtered(string name, string text, string rules) => new(name, text, network, Nothing)
        {
            Hosts = network.Workers,
            InjectNetwork = async (lab, _) =>
            {
                using (PacketFilter.Apply(lab.Hosts[1], rules))
                    await Task.Delay(TimeSpan.FromSeconds(1));
            },
        };
    }

    private static Task Nothing(TestedCluster cluster) => Task.CompletedTask;
}
