using System.Diagnostics;
using Grok1Cluster.TestKit.Network;

namespace Grok1Cluster.Reliability.Bench;

/// <summary>What one run of a row gave.</summary>
/// <param name="LongestGapMs">Longest time without a token of a stream, and before its first.</param>
/// <param name="GapP50Ms">Median time between two tokens of a stream.</param>
/// <param name="GapP95Ms">95th percentile of it.</param>
/// <param name="RecoveryMs">From the first gap that is not as usual to the end of the last; 0 without one.</param>
/// <param name="Requests">Requests that ran.</param>
/// <param name="Equal">Those with the right text.</param>
/// <param name="Errors">Those that ended with an explicit error.</param>
/// <param name="Wrong">Those with another text, or cut without an error.</param>
/// <param name="LostWorkers">Times that the coordinator gave a worker up.</param>
/// <param name="Message">An error, if there was one.</param>
internal sealed record FaultRun(
    double LongestGapMs, double GapP50Ms, double GapP95Ms, double RecoveryMs, int Requests, int Equal, int Errors, int Wrong, int LostWorkers, string? Message)
{
    /// <summary>Streams at a time, and requests that there are.</summary>
    public const int Clients = 4, Kinds = 8;

    private static readonly TimeSpan Before = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan After = TimeSpan.FromSeconds(3);

    /// <summary>Runs a row once.</summary>
    /// <param name="row">What.</param>
    /// <param name="tokens">Of a request.</param>
    /// <param name="texts">The right texts.</param>
    public static async Task<FaultRun> MeasureAsync(FaultRow row, int tokens, IReadOnlyList<string> texts)
    {
        using var lab = row.Hosts > 0 ? new NetworkLab(row.Hosts, null) : null;
        using var cluster = await TestedCluster.StartAsync(row.Options with { Lab = lab });
        using var streams = new Streams(cluster.Url, tokens);
        // Code is compiled, connections are made, lines are fitted.
        var warm = 0;
        await streams.RunAsync(Clients, Kinds, () => Interlocked.Increment(ref warm) <= Clients);
        var running = true;
        var stream = streams.RunAsync(Clients, Kinds, () => Volatile.Read(ref running));
        await Task.Delay(Before);
        await (row.InjectNetwork is { } inject ? inject(lab!, cluster) : row.Inject(cluster));
        await Task.Delay(After);
        Volatile.Write(ref running, false);
        return Of(await stream, texts, cluster.Log.Split('\n').Count(line => line.EndsWith(" is lost", StringComparison.Ordinal)));
    }

    private static FaultRun Of(IReadOnlyList<StreamResult> results, IReadOnlyList<string> texts, int lost)
    {
        var gaps = results.SelectMany(result => result.Gaps).Order().ToArray();
        var usual = Math.Max(0.1, 5 * Quantile(gaps, 0.5));
        var unusual = results.SelectMany(result => result.Arrivals.Zip(result.Arrivals.Skip(1))).Where(gap => Stopwatch.GetElapsedTime(gap.First, gap.Second).TotalSeconds > usual).ToArray();
        var whole = results.Where(result => result is { Error: null, IsCut: false }).ToArray();
        var equal = whole.Count(result => result.Text == texts[result.Kind]);
        var errors = results.Count(result => result.Error is not null);
        return new FaultRun(
            1e3 * gaps[^1], 1e3 * Quantile(gaps, 0.5), 1e3 * Quantile(gaps, 0.95),
            unusual.Length == 0 ? 0 : Stopwatch.GetElapsedTime(unusual.Min(gap => gap.First), unusual.Max(gap => gap.Second)).TotalMilliseconds,
            results.Count, equal, errors, results.Count - equal - errors, lost, results.Select(result => result.Error).FirstOrDefault(error => error is not null));
    }

    /// <summary>A quantile of sorted numbers; 0 of none.</summary>
    public static double Quantile(IReadOnlyList<double> sorted, double share) => sorted.Count == 0 ? 0 : sorted[(int)Math.Ceiling(share * (sorted.Count - 1))];
}
