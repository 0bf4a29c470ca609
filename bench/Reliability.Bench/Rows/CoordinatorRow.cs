using System.Diagnostics;
using Grok1Cluster.Reliability.Bench.Clusters;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>
/// Two coordinators over the same workers, one of which is killed and started again. The row's figures are of the other's
/// streams; its own clients see their connections break, which is counted apart, and nobody may see a text that just ends.
/// </summary>
internal sealed record CoordinatorRow(string Name, string Text) : Row(Name, Text)
{
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Away = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan After = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public override async IAsyncEnumerable<RowRun> MeasureAsync(BenchContext bench)
    {
        // The cluster is after a run what it was before: the next one has it again.
        using var cluster = await bench.StartAsync(Name, () => PairedCluster.StartAsync(bench.Model));
        for (var run = 0; run < bench.Options.Repeat; run++)
            yield return await RunAsync(bench, cluster);
    }

    private static async Task<RowRun> RunAsync(BenchContext bench, PairedCluster cluster)
    {
        var (fleet, other, killed) = (cluster.Fleet, cluster.First, cluster.Second);
        await other.UntilReadyAsync(Limit);
        await killed.UntilReadyAsync(Limit);
        using var streams = new Streams(other.Url, bench.Options.Tokens);
        using var harmed = new Streams(killed.Url, bench.Options.Tokens);
        var texts = await bench.FaultTextsAsync();
        await Task.WhenAll(streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds), harmed.WarmAsync(BenchContext.Clients, BenchContext.Kinds));
        var running = true;
        var unharmedStreams = streams.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        var harmedStreams = harmed.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        await Task.Delay(Before);
        var processes = fleet.ProcessIds;
        var before = await LookAsync(fleet);
        await killed.KillAsync();
        await Task.Delay(Away);
        var start = Stopwatch.GetTimestamp();
        await cluster.StartSecondAgainAsync();
        await cluster.Second.UntilReadyAsync(Limit);
        var back = Stopwatch.GetElapsedTime(start);
        await Task.Delay(After);
        Volatile.Write(ref running, false);
        var (results, own) = (await unharmedStreams, await harmedStreams);
        var after = await LookAsync(fleet);
        var problems = new List<string>();
        if (!fleet.ProcessIds.SequenceEqual(processes) || fleet.ProcessIds.Keys.Any(id => after[id].Calls < before[id].Calls || after[id].Bytes != before[id].Bytes))
            problems.Add("a worker began anew");
        var broken = own.Where(result => result.Broken is not null && result.Arrivals.Count > 1).ToArray();
        var silent = own.Count(result => result.IsCut && result.Broken is null);
        var wrong = own.Count(result => result.IsCut ? !texts[result.Kind].StartsWith(result.Text, StringComparison.Ordinal) : result.Error is null && result.Text != texts[result.Kind]);
        if (silent + wrong > 0)
            problems.Add($"of the killed coordinator's requests {silent} ended as if they were complete, and {wrong} had another text");
        if (broken.Length == 0 || !own.Any(result => result is { Error: null, IsCut: false } && result.Arrivals[0] > start))
            problems.Add("nobody was generating when the coordinator was killed, or nobody was answered when it was back");
        if (broken.FirstOrDefault() is { } one)
            bench.Note($"kill-coordinator: what a client of it sees: {one.Broken}");
        return RowRun.Of(results, texts) with
        {
            Problems = problems,
            Figures = new Dictionary<string, double>
            {
                ["its clients: right"] = own.Count(result => result is { Error: null, IsCut: false }),
                ["its clients: connection broke in a text"] = broken.Length,
                ["its clients: refused while it was away"] = own.Count(result => result.Broken is not null && result.Arrivals.Count == 1),
                ["its clients: error event"] = own.Count(result => result.Error is not null),
                ["its clients: text ended without a word"] = silent,
                ["ready again ms after its start"] = back.TotalMilliseconds,
            },
        };
    }

    /// <summary>Calls that workers have computed since their start, and the weights they hold.</summary>
    private static async Task<Dictionary<string, (double Calls, double Bytes)>> LookAsync(WorkerFleet fleet)
    {
        var seen = new Dictionary<string, (double, double)>();
        foreach (var id in fleet.ProcessIds.Keys)
            seen[id] = (await fleet.MetricAsync(id, "grok1_expert_worker_calls_total"), await fleet.MetricAsync(id, "grok1_expert_worker_weight_bytes"));
        return seen;
    }
}
