using System.Diagnostics;
using System.Globalization;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Reliability.Bench.Clusters;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>
/// An operation while streams run, with the limit on transfers. No request may fail and no text may change; and tokens a second of all
/// streams during the operation are compared with those just before it, on the same cluster. Those after it tell a dip from a
/// machine that became slower, where the operation leaves the cluster as it was.
/// </summary>
/// <param name="Operate">What is done.</param>
internal sealed record OperationRow(string Name, string Text, Func<OperatedCluster, Task> Operate) : Row(Name, Text)
{
    /// <summary>The figures that every operation has.</summary>
    public const string Took = "took s", RateBefore = "tok/s before", RateDuring = "tok/s during", RateAfter = "tok/s after", Dip = "dip %", StartSeconds = "processor s a start";

    /// <summary>
    /// Before streams are looked at they run until two windows agree, so that code is compiled by then: else an operation seems to cost
    /// less than it does. On a machine that never is so steady they are looked at nevertheless.
    /// </summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(4), Window = TimeSpan.FromSeconds(2), LongestSettling = TimeSpan.FromSeconds(20);

    /// <summary>Of the tokens of a window.</summary>
    private const double Agreement = 0.05;

    public static IReadOnlyList<OperationRow> All { get; } =
    [
        // What the machine itself does to the comparison.
        new("steady", "nothing for 10 s", _ => Task.Delay(TimeSpan.FromSeconds(10))),
        new("restart", "rolling restart of all workers, replicated", cluster => cluster.RestartAllAsync(TimeSpan.Zero)) { Replicas = 2 },
        // As docs/operations.md says: what a start takes is spread over more time.
        new("restart-paced", "rolling restart, replicated, 10 s after each worker", cluster => cluster.RestartAllAsync(TimeSpan.FromSeconds(10))) { Replicas = 2 },
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

    public override async IAsyncEnumerable<RowRun> MeasureAsync(BenchContext bench)
    {
        var model = await bench.OperationsModelAsync();
        // Each with a new cluster: what a worker has fetched once it has on its disk, and would not fetch again.
        for (var run = 1; run <= bench.Options.Repeat; run++)
        {
            using var cluster = await bench.StartAsync(Name, () => OperatedCluster.StartAsync(model, Replicas, Precision, bench.Options.TransferLimit, Prepare));
            using var streams = new Streams(cluster.Url, bench.Options.Tokens);
            var measured = await RunAsync(bench, cluster, streams, await bench.TextsAsync($"operations {Precision}", streams));
            bench.Note($"{Name}, run {run}: {string.Join(", ", measured.Figures.Select(figure => string.Create(CultureInfo.InvariantCulture, $"{figure.Key} {figure.Value:0.0#}")))}");
            yield return measured;
        }
    }

    private async Task<RowRun> RunAsync(BenchContext bench, OperatedCluster cluster, Streams streams, IReadOnlyList<string> texts)
    {
        await streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds);
        var running = true;
        var stream = streams.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        await SettleAsync(streams);
        var steady = Stopwatch.GetTimestamp();
        await Task.Delay(bench.Options.Before);
        var begun = Stopwatch.GetTimestamp();
        await Operate(cluster);
        var done = Stopwatch.GetTimestamp();
        await Task.Delay(bench.Options.Before);
        var end = Stopwatch.GetTimestamp();
        Volatile.Write(ref running, false);
        var results = await stream;
        var (before, during, after) = (Rate(results, steady, begun), Rate(results, begun, done), Rate(results, done, end));
        var figures = new Dictionary<string, double> { [Took] = Stopwatch.GetElapsedTime(begun, done).TotalSeconds, [RateBefore] = before, [RateDuring] = during, [RateAfter] = after };
        if (cluster.StartSeconds.Count > 0)
            figures[StartSeconds] = cluster.StartSeconds.Average();
        if (before > 0)
            figures[Dip] = 100 * (1 - during / before);
        return RowRun.Of(results, texts) with { Figures = figures, Problems = before > 0 ? [] : ["no token came before the operation, so there is nothing to compare with"] };
    }

    /// <summary>Completes when the streams give about as many tokens in a time as in the time before.</summary>
    private static async Task SettleAsync(Streams streams)
    {
        var start = Stopwatch.GetTimestamp();
        await Task.Delay(Settling);
        for (int last = -1, tokens; Stopwatch.GetElapsedTime(start) < LongestSettling; last = tokens)
        {
            var before = streams.Parts;
            await Task.Delay(Window);
            tokens = streams.Parts - before;
            if (last > 0 && Math.Abs(tokens - last) <= Agreement * last)
                return;
        }
    }

    /// <summary>Tokens a second of all streams.</summary>
    private static double Rate(IReadOnlyList<StreamResult> results, long from, long to) =>
        results.Sum(result => result.Arrivals.Skip(1).Count(arrival => arrival >= from && arrival < to)) / Stopwatch.GetElapsedTime(from, to).TotalSeconds;
}
