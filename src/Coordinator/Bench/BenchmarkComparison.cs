namespace Grok1Cluster.Coordinator.Bench;

/// <summary>One figure in two reports.</summary>
/// <param name="A">The first report's.</param>
/// <param name="B">The second report's.</param>
/// <param name="Ratio">B over A; null when A is 0.</param>
/// <param name="Noise">How far runs of one report lie apart, the larger of both: (highest - lowest) / median; null where neither has two runs.</param>
public sealed record ComparedRate(double A, double B, double? Ratio, double? Noise)
{
    /// <summary>Whether the ratio differs from 1 by more than the runs of one report differ; null where that is not known.</summary>
    public bool? BeyondNoise => Ratio is { } ratio && Noise is { } noise ? Math.Abs(ratio - 1) > noise : null;
}

/// <summary>What two reports measured alike: same workers, plan, concurrency and prompt.</summary>
public sealed record ComparedResult(int Workers, string? Plan, int Concurrency, int PromptTokens, ComparedRate Prefill, ComparedRate Decode);

/// <summary>Two reports side by side.</summary>
/// <param name="Results">What both have.</param>
/// <param name="OnlyInA">Results without a partner, described.</param>
/// <param name="OnlyInB">The same of the other report.</param>
/// <param name="Differences">What else differs between the runs, so that a ratio may come from there: machine, model, precision.</param>
public sealed record BenchmarkComparison(
    IReadOnlyList<ComparedResult> Results, IReadOnlyList<string> OnlyInA, IReadOnlyList<string> OnlyInB, IReadOnlyList<string> Differences)
{
    /// <param name="a">The report that the ratios divide by.</param>
    /// <param name="b">The other.</param>
    public static BenchmarkComparison Of(BenchmarkReport a, BenchmarkReport b)
    {
        var partners = b.Results.ToLookup(Key);
        var known = a.Results.Select(Key).ToHashSet();
        return new BenchmarkComparison(
            [.. a.Results.SelectMany(left => partners[Key(left)].Take(1).Select(right => Compare(left, right)))],
            [.. a.Results.Where(result => !partners.Contains(Key(result))).Select(Describe)],
            [.. b.Results.Where(result => !known.Contains(Key(result))).Select(Describe)],
            [.. Differ(a, b)]);
    }

    private static (int, string?, int, int) Key(BenchmarkResult result) => (result.Workers, result.Plan, result.Concurrency, result.PromptTokens);

    private static ComparedResult Compare(BenchmarkResult a, BenchmarkResult b) => new(
        a.Workers, a.Plan, a.Concurrency, a.PromptTokens,
        Rate(a.PrefillTokensPerSecond, b.PrefillTokensPerSecond, a.PrefillRuns, b.PrefillRuns),
        Rate(a.DecodeTokensPerSecond, b.DecodeTokensPerSecond, a.DecodeRuns, b.DecodeRuns));

    private static ComparedRate Rate(double a, double b, IReadOnlyList<double> runsA, IReadOnlyList<double> runsB) =>
        new(a, b, a > 0 ? b / a : null, new[] { Spread(runsA, a), Spread(runsB, b) }.Max());

    private static double? Spread(IReadOnlyList<double> runs, double median) => runs.Count > 1 && median > 0 ? (runs.Max() - runs.Min()) / median : null;

    private static string Describe(BenchmarkResult result) =>
        $"{result.Workers} workers, plan {result.Plan ?? "-"}, {result.Concurrency} sequences, prompt {result.PromptTokens}";

    private static IEnumerable<string> Differ(BenchmarkReport a, BenchmarkReport b)
    {
        foreach (var (what, left, right) in new[]
        {
            ("model", a.Model, b.Model), ("weights", a.Weights, b.Weights), ("precision", a.Precision, b.Precision),
            ("processor", a.Machine?.Cpu, b.Machine?.Cpu), ("cores", $"{a.Machine?.Cores}", $"{b.Machine?.Cores}"), ("kernels", a.Machine?.KernelId, b.Machine?.KernelId),
        })
            if (left != right)
                yield return $"{what}: {left ?? "unknown"} and {right ?? "unknown"}";
        if (b.ReadBandwidthGbS / a.ReadBandwidthGbS is > 1.1 or < 0.9)
            yield return $"read bandwidth: {a.ReadBandwidthGbS:0.0} and {b.ReadBandwidthGbS:0.0} GB/s";
    }
}
