using System.Diagnostics;
using Grok1Cluster.Reliability.Bench.Clusters;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>
/// etcd is killed and comes back with its data. While it is away a worker is killed for good and another one started, so that
/// membership has something to catch up with: everybody has to be registered again, and the new worker has to have its part.
/// </summary>
internal sealed record EtcdRow(string Name, string Text) : Row(Name, Text)
{
    private const string Killed = "worker-1", Added = "worker-3";

    /// <summary>Membership has to converge within this after etcd is back.</summary>
    private static readonly TimeSpan Required = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Before = TimeSpan.FromSeconds(1);

    /// <summary>For the new worker's process to be there when etcd comes back; it waits for etcd, 5 s at most.</summary>
    private static readonly TimeSpan HeadStart = TimeSpan.FromSeconds(2);

    /// <summary>Of a process without etcd.</summary>
    private const int Network = 5;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public override string? Missing => EtcdFactAttribute.Missing;

    public override async IAsyncEnumerable<RowRun> MeasureAsync(BenchContext bench)
    {
        // Each with a new cluster: the last one has another plan and other workers.
        for (var run = 0; run < bench.Options.Repeat; run++)
        {
            await using var cluster = await bench.StartAsync(Name, () => RegisteredCluster.StartAsync(bench.Model));
            yield return await RunAsync(bench, cluster);
        }
    }

    private static async Task<RowRun> RunAsync(BenchContext bench, RegisteredCluster cluster)
    {
        var (etcd, fleet, coordinator) = (cluster.Etcd, cluster.Fleet, cluster.Coordinator);
        using var streams = new Streams(coordinator.Url, bench.Options.Tokens);
        var texts = await bench.TextsAsync("etcd", streams);
        await streams.WarmAsync(BenchContext.Clients, BenchContext.Kinds);
        var running = true;
        var stream = streams.RunAsync(BenchContext.Clients, BenchContext.Kinds, () => Volatile.Read(ref running));
        await Task.Delay(Before);

        var away = Stopwatch.GetTimestamp();
        await etcd.KillAsync();
        await Task.Delay(bench.Options.EtcdAway / 3);
        fleet.Kill(Killed);
        await Task.Delay(Max(TimeSpan.Zero, bench.Options.EtcdAway - HeadStart - Stopwatch.GetElapsedTime(away)));
        var added = AddAsync(bench.Model, cluster);
        await Task.Delay(Max(TimeSpan.Zero, bench.Options.EtcdAway - Stopwatch.GetElapsedTime(away)));
        await etcd.RestartAsync();

        var back = Stopwatch.GetTimestamp();
        var (known, part, gone) = (
            KnownAsync(coordinator, fleet, back),
            PartAsync(coordinator, added, back),
            GoneAsync(etcd, back));
        await Task.WhenAll(known, part, gone);
        Volatile.Write(ref running, false);
        var results = await stream;
        var converged = Max(await known, await part);
        return RowRun.Of(results, texts) with
        {
            Problems = converged > Required ? [$"membership converged {converged.TotalSeconds:0.0} s after etcd was back, and {Required.TotalSeconds:0} s are allowed"] : [],
            Figures = new Dictionary<string, double>
            {
                ["everybody registered again ms"] = (await known).TotalMilliseconds,
                ["the added worker serves ms"] = (await part).TotalMilliseconds,
                ["the dead worker's entry is gone ms (lease 5 s)"] = (await gone).TotalMilliseconds,
            },
        };
    }

    /// <summary>Coordinator and workers that live say that they have etcd again.</summary>
    private static async Task<TimeSpan> KnownAsync(ServingProcess coordinator, WorkerFleet fleet, long since)
    {
        static bool IsBack(string line) => line.Contains("etcd at ", StringComparison.Ordinal) && line.EndsWith(" is back", StringComparison.Ordinal);
        await Task.WhenAll(fleet.ProcessIds.Keys.Where(id => id is not (Killed or Added)).Select(id => fleet.Process(id).WaitForErrorLineAsync(IsBack, Limit)).Append(coordinator.UntilLineAsync(IsBack, Limit)));
        return Stopwatch.GetElapsedTime(since);
    }

    /// <summary>The plan gives a part to the new worker and none to the dead one, and every tile has a worker.</summary>
    private static async Task<TimeSpan> PartAsync(ServingProcess coordinator, Task added, long since)
    {
        await added;
        await coordinator.UntilLineAsync(line => line.Contains($"plan 2 holds: {RegisteredCluster.Workers} workers", StringComparison.Ordinal), Limit);
        await coordinator.UntilReadyAsync(Limit);
        return Stopwatch.GetElapsedTime(since);
    }

    /// <summary>Starts the new worker, and again where etcd was not back in time: as a service does.</summary>
    private static async Task AddAsync(string model, RegisteredCluster cluster)
    {
        while (true)
            try
            {
                await cluster.StartWorkerAsync(model, Added);
                return;
            }
            catch (TimeoutException)
            {
                if ((await cluster.Fleet.Process(Added).WaitForExitAsync()).ExitCode != Network)
                    throw;
            }
    }

    private static async Task<TimeSpan> GoneAsync(EtcdServer etcd, long since)
    {
        while (await etcd.GetAsync($"/grok1/default/workers/{Killed}") is not null)
            await Task.Delay(20);
        return Stopwatch.GetElapsedTime(since);
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
