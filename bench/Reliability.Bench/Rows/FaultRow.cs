using System.Diagnostics;
using Grok1Cluster.Reliability.Bench.Clusters;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>Something happens to the workers, the coordinator or the network of one cluster.</summary>
/// <param name="Options">The cluster.</param>
/// <param name="Inject">What is done.</param>
internal sealed record FaultRow(string Name, string Text, TestedClusterOptions Options, Func<TestedCluster, Task> Inject) : Row(Name, Text)
{
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan After = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>Hosts that the row needs, at a network of their own.</summary>
    public int Hosts { get; init; }

    /// <summary>
    /// Whether the cluster is afterwards what it was before, so that the next run has it again and no other is started: every worker ready, none
    /// asked after others. What a run measures is the same, because each begins with the same requests that nobody looks at.
    /// </summary>
    public bool LeavesHealthy { get; init; }

    /// <summary>Whether a worker counts as lost that was not: the coordinator's own pause is nobody else's fault.</summary>
    public bool MustLoseNobody { get; init; }

    /// <summary>A worker that must answer calls again afterwards.</summary>
    public int? ServesAgain { get; init; }

    /// <summary>What is done to the hosts instead; it needs a packet filter.</summary>
    public Func<NetworkLab, Task>? InjectNetwork { get; init; }

    public override string? Missing => Hosts > 0 ? NetworkLab.Missing.Value ?? PacketFilter.Missing.Value : null;

    public override async IAsyncEnumerable<RowRun> MeasureAsync(BenchContext bench)
    {
        var texts = await bench.FaultTextsAsync();
        for (var runs = 0; runs < bench.Options.Repeat;)
        {
            using var lab = Hosts > 0 ? new NetworkLab(Hosts, null) : null;
            using var cluster = await bench.StartAsync(Name, () => TestedCluster.StartAsync(Options with { Lab = lab }));
            using var streams = new Streams(cluster.Url, bench.Options.Tokens);
            do
            {
                yield return await RunAsync(cluster, streams, lab, texts);
                runs++;
            }
            while (runs < bench.Options.Repeat && LeavesHealthy && await IsHealthyAgainAsync(cluster, streams));
        }
    }

    private async Task<RowRun> RunAsync(TestedCluster cluster, Streams streams, NetworkLab? lab, IReadOnlyList<string> texts)
    {
        await streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds);
        var lostBefore = Lost(cluster);
        var running = true;
        var stream = streams.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        await Task.Delay(Before);
        await (InjectNetwork is { } inject ? inject(lab!) : Inject(cluster));
        var figures = new Dictionary<string, double>();
        var problems = new List<string>();
        var after = Task.Delay(After);
        if (ServesAgain is { } worker)
            await WatchAsync(cluster, worker, figures, problems);
        await after;
        Volatile.Write(ref running, false);
        var results = await stream;
        if (MustLoseNobody && Lost(cluster) > lostBefore)
            problems.Add($"{Lost(cluster) - lostBefore} workers were declared lost");
        return RowRun.Of(results, texts) with { Figures = figures, Problems = problems };
    }

    private static async Task WatchAsync(TestedCluster cluster, int worker, Dictionary<string, double> figures, List<string> problems)
    {
        var start = Stopwatch.GetTimestamp();
        var answers = await cluster.AnswersAsync(worker);
        try
        {
            await cluster.UntilAsync($"worker {worker} answers again", Limit, async () => await cluster.AnswersAsync(worker) > answers);
            figures["worker answers again after ms"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        catch (TimeoutException e)
        {
            problems.Add(e.Message.Split('\n')[0]);
        }
    }

    private static async Task<bool> IsHealthyAgainAsync(TestedCluster cluster, Streams streams)
    {
        await cluster.WaitUntilWholeAsync(Limit);
        // A worker that was slow is tried by the calls of others.
        for (var start = Stopwatch.GetTimestamp(); !await cluster.IsHealthyAsync(); await streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds))
            if (Stopwatch.GetElapsedTime(start) > Limit)
                return false;
        return true;
    }

    private static int Lost(TestedCluster cluster) => cluster.Log.Split('\n').Count(line => line.EndsWith(" is lost", StringComparison.Ordinal));
}
