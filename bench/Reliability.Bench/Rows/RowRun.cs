using System.Diagnostics;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>What one run of a row gave.</summary>
/// <param name="LongestGapMs">Longest time without a token of a stream, and before its first.</param>
/// <param name="GapP50Ms">Median time between two tokens of a stream.</param>
/// <param name="GapP95Ms">95th percentile of it.</param>
/// <param name="RecoveryMs">From the first gap that is not as usual to the end of the last; 0 without one.</param>
/// <param name="Requests">Requests that ran.</param>
/// <param name="Equal">Those with the right text.</param>
/// <param name="Errors">Those that ended with an explicit error.</param>
/// <param name="Wrong">Those with another text, or cut without an error.</param>
/// <param name="Message">An error, if there was one.</param>
internal sealed record RowRun(double LongestGapMs, double GapP50Ms, double GapP95Ms, double RecoveryMs, int Requests, int Equal, int Errors, int Wrong, string? Message)
{
    /// <summary>What else the row measures, by a name with its unit.</summary>
    public IReadOnlyDictionary<string, double> Figures { get; init; } = new Dictionary<string, double>();

    /// <summary>What was not as the row requires, beside wrong texts and errors.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>Looks at the requests of a run.</summary>
    /// <param name="results">All of them.</param>
    /// <param name="texts">The right texts, by kind.</param>
    public static RowRun Of(IReadOnlyList<StreamResult> results, IReadOnlyList<string> texts)
    {
        var gaps = results.SelectMany(result => result.Gaps).Order().ToArray();
        var usual = Math.Max(0.1, 5 * Quantile(gaps, 0.5));
        var unusual = results.SelectMany(result => result.Arrivals.Zip(result.Arrivals.Skip(1))).Where(gap => Stopwatch.GetElapsedTime(gap.First, gap.Second).TotalSeconds > usual).ToArray();
        var whole = results.Where(result => result is { Error: null, IsCut: false }).ToArray();
        var equal = whole.Count(result => result.Text == texts[result.Kind]);
        var errors = results.Count(result => result.Error is not null);
        return new RowRun(
            1e3 * gaps.LastOrDefault(), 1e3 * Quantile(gaps, 0.5), 1e3 * Quantile(gaps, 0.95),
            unusual.Length == 0 ? 0 : Stopwatch.GetElapsedTime(unusual.Min(gap => gap.First), unusual.Max(gap => gap.Second)).TotalMilliseconds,
            results.Count, equal, errors, results.Count - equal - errors, results.Select(result => result.Error).FirstOrDefault(error => error is not null));
    }

    /// <summary>A quantile of sorted numbers; 0 of none.</summary>
    public static double Quantile(IReadOnlyList<double> sorted, double share) => sorted.Count == 0 ? 0 : sorted[(int)Math.Ceiling(share * (sorted.Count - 1))];
}
