using System.CommandLine;
using Grok1Cluster.Cli.Errors;
using Grok1Cluster.Cli.Output;
using Grok1Cluster.Cli.Settings;
using Grok1Cluster.Coordinator.Bench;
using Spectre.Console;

namespace Grok1Cluster.Cli.Verbs;

/// <summary>Two reports of <c>bench --json</c> as ratios. A slower second report is a result, not a failure.</summary>
internal static class BenchCompareVerb
{
    public static Command Create()
    {
        var a = new Argument<string>("A.json") { Description = "report that the ratios divide by" };
        var b = new Argument<string>("B.json") { Description = "the other report" };
        var verb = new Verb("compare", "Compare two reports of bench --json: ratios B over A, beside how far repeated runs lie apart.",
            "grok1 bench compare old.json new.json") { a, b };
        verb.AddJson();
        verb.Runs((context, _) =>
        {
            var comparison = BenchmarkComparison.Of(Load(context.Get(a)!), Load(context.Get(b)!));
            if (context.Output.Json)
                context.Output.WriteJson(comparison);
            else
                Write(context.Output, comparison);
            return Task.FromResult(ExitCodes.Ok);
        });
        return verb;
    }

    private static BenchmarkReport Load(string path)
    {
        try
        {
            // null, and an object without results, are JSON too.
            return CommandOutput.ReadJson<BenchmarkReport>(File.ReadAllBytes(path)) is { Results: not null } report && report.Results.All(result => result is not null)
                ? report : throw new UsageException($"{path}: is not a report of grok1 bench --json");
        }
        catch (FormatException e)
        {
            throw new UsageException($"{path}: is not a report of grok1 bench --json ({e.Message})", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"{path}: cannot be read ({e.Message})", e);
        }
    }

    private static void Write(CommandOutput output, BenchmarkComparison comparison)
    {
        // A row for each rate: what stands beside each other fits on a terminal of 80 columns.
        var table = new Table { Title = new TableTitle("tokens a second; spread: of the runs of one report; ~ a ratio within it") };
        foreach (var column in new[] { "workers", "plan", "seq", "prompt", "of", "A", "B", "B/A", "spread" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (var r in comparison.Results)
            foreach (var (name, rate) in new[] { ("prefill", r.Prefill), ("decode", r.Decode) })
                table.AddRow(
                    $"{r.Workers}", Markup.Escape(r.Plan ?? "-"), $"{r.Concurrency}", $"{r.PromptTokens}", name, $"{rate.A:0.0}", $"{rate.B:0.0}", Ratio(rate), Spread(rate));
        output.Write(table);
        foreach (var difference in comparison.Differences)
            output.WriteLine($"differs: {difference}");
        foreach (var (name, only) in new[] { ("A", comparison.OnlyInA), ("B", comparison.OnlyInB) })
            foreach (var result in only)
                output.WriteLine($"only in {name}: {result}");
    }

    private static string Ratio(ComparedRate rate) => rate.Ratio is { } ratio ? $"{ratio:0.00}{(rate.BeyondNoise == false ? " ~" : "")}" : "-";

    private static string Spread(ComparedRate rate) => rate.Noise is { } noise ? $"{noise:P0}" : "-";
}
