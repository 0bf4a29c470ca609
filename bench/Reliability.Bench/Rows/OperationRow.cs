using System.Diagnostics;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Reliability.Bench.Clusters;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>
/// An operation while streams run, with the limit on transfers. No request may fail and no text may change; and tokens a second of all
/// streams during the operation are compared with those before it.
/// </summary>
/// <param name="Operate">What is done.</param>
internal sealed record OperationRow(string Name, string Text, Func<OperatedCluster, Task> Operate) : Row(Name, Text)
{
    /// <summary>The figures that every operation has.</summary>
    public const string Took = "took s", RateBefore = "tok/s before", RateDuring = "tok/s during", Dip = "dip %";

    /// <summary>Streams run before they are looked at, so that code is compiled by then, and after.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(4), After = TimeSpan.FromSeconds(1);

    public static IReadOnlyList<OperationRow> All { get; } =
    [
        // What the machine itself does to the comparison.
        new("steady", "nothing for 10 s", _ => Task.Delay(TimeSpan.FromSeconds(10))),
        new("restart", "rolling restart of all workers, replicated", cluster => cluster.RestartAllAsync()) { Replicas = 2 },
        new("move", "live move of a bundle", cluster => cluster.MoveAsync()),
        new("join", "a worker joins", cluster => cluster.JoinAsync()) { Prepare = cluster => cluster.StartNextAsync() },
        new("drain", "a worker is drained", cluster => cluster.DrainAsync()),
        new("rebalance", "rebalance", cluster => cluster.RebalanceAsync()),
        // Another cut rounds to other texts in fast.
        new("apply", "another cut is applied (exact)", cluster => cluster.ApplyAsync()) { Precision = "exact" },
    ];

    /// <summary>What happens before the streams are looked at: a process that starts takes time from those of the same machine, which the operation is not to blame for.</summary>
    public Func<OperatedCluster, Task> Prepare { get; init; } = _ => Task.CompletedTask;

    /// <summary>Workers that hold each bundle.</summary>
    public int Replicas { get; init; } = 1;

    public string Precision { get; init; } = "fast";

    public override async Task<IReadOnlyList<RowRun>> MeasureAsync(BenchContext bench)
    {
        var model = await bench.OperationsModelAsync();
        var runs = new List<RowRun>();
        // Each with a new cluster: what a worker has fetched once it has on its disk, and would not fetch again.
        while (runs.Count < bench.Options.Repeat)
        {
            using var cluster = await OperatedCluster.StartAsync(model, Replicas, Precision, bench.Options.TransferLimit);
            using var streams = new Streams(cluster.Url, bench.Options.Tokens);
            runs.Add(await RunAsync(bench, cluster, streams, await bench.TextsAsync($"operations {Precision}", streams)));
        }
        return runs;
    }

    private async Task<RowRun> RunAsync(BenchContext bench, OperatedCluster cluster, Streams streams, IReadOnlyList<string> texts)
    {
        await Prepare(cluster);
        await streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds);
        var running = true;
        var stream = streams.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        await Task.Delay(Settling);
        var steady = Stopwatch.GetTimestamp();
        await Task.Delay(bench.Options.Before);
        var begun = Stopwatch.GetTimestamp();
        await Operate(cluster);
        var done = Stopwatch.GetTimestamp();
        await Task.Delay(After);
        Volatile.Write(ref running, false);
        var results = await stream;
        var (before, during) = (Rate(results, steady, begun), Rate(results, begun, done));
        return RowRun.Of(results, texts) with
        {
            Figures = new Dictionary<string, double>
            {
                [Took] = Stopwatch.GetElapsedTime(begun, done).TotalSeconds, [RateBefore] = before, [RateDuring] = during, [Dip] = 100 * (1 - during / before),
            },
        };
    }

    /// <summary>Tokens a second of all streams.</summary>
    private static double Rate(IReadOnlyList<StreamResult> results, long from, long to) =>
        results.Sum(result => result.Arrivals.Skip(1).Count(arrival => arrival >= from && arrival < to)) / Stopwatch.GetElapsedTime(from, to).TotalSeconds;
}
