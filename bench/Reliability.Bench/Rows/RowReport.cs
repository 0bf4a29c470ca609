using System.Globalization;
using System.Text.Json;

namespace Grok1Cluster.Reliability.Bench.Rows;

/// <summary>The tables of docs/reliability.md: a line for each row as soon as it was run, figures that only some rows have at the end.</summary>
internal sealed class RowReport(BenchOptions options, TextWriter output)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    private readonly List<(Row Row, IReadOnlyList<RowRun> Runs, string? Fault)> _rows = [];
    private readonly List<string> _problems = [];

    /// <summary>Writes a row's line, and every run so far to the file that was asked for: what is cut later leaves that.</summary>
    /// <param name="fault">What ended it before it was run as often as was asked for; null: nothing.</param>
    public void Add(Row row, IReadOnlyList<RowRun> runs, string? fault)
    {
        if (_rows.Count == 0)
        {
            output.WriteLine("| fault | runs | longest gap ms p50 / p95 / max | ms per token p50 / p95 | recovery ms p50 / max | requests | right | errors | wrong | dip % min / p50 / max |");
            output.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        }
        _rows.Add((row, runs, fault));
        Save();
        if (fault is not null)
            Fail(runs.Count == 0 ? $"{row.Name} was not run: {fault}" : $"{row.Name} ended after {runs.Count} of {options.Repeat} runs: {fault}");
        if (runs.Count == 0)
        {
            output.WriteLine($"| {row.Text} | 0 | not run: {fault?.Replace("|", "\\|", StringComparison.Ordinal)} | | | | | | | |");
            return;
        }
        string Of(Func<RowRun, double> value, params double[] shares) => Quantiles(runs.Select(value), shares);
        output.WriteLine($"| {row.Text} | {runs.Count} | {Of(run => run.LongestGapMs, 0.5, 0.95, 1)} | {Of(run => run.GapP50Ms, 0.5)} / {Of(run => run.GapP95Ms, 0.5)} | {Of(run => run.RecoveryMs, 0.5, 1)} | {runs.Sum(run => run.Requests)} | {runs.Sum(run => run.Equal)} | {runs.Sum(run => run.Errors)} | {runs.Sum(run => run.Wrong)} | {(row is OperationRow ? Figure(runs, OperationRow.Dip, 0, 0.5, 1) : "")} |");
        foreach (var (number, run) in runs.Index())
        {
            foreach (var problem in run.Problems)
                Fail($"{row.Name}, run {number + 1}: {problem}");
            if (run.Wrong > 0)
                Fail($"{row.Name}, run {number + 1}: {run.Wrong} texts are wrong or were cut");
            if (run.Errors > 0 != row.MustFail)
                Fail($"{row.Name}, run {number + 1}: {run.Errors} requests ended with an error, {(row.MustFail ? "and some must" : $"such as {run.Message}")}");
        }
    }

    /// <summary>Writes the other tables.</summary>
    /// <returns>Whether everything is as required.</returns>
    public bool End()
    {
        var operations = _rows.Where(row => row is { Row: OperationRow, Runs.Count: > 0 }).ToArray();
        if (operations.Length > 0)
        {
            output.WriteLine();
            output.WriteLine($"| operation, at most {options.TransferLimit} a second to each worker | runs | took s p50 / max | tok/s before p50 | during p50 | after p50 | dip % min / p50 / max |");
            output.WriteLine("|---|---|---|---|---|---|---|");
            foreach (var (row, runs, _) in operations)
                output.WriteLine($"| {row.Text} | {runs.Count} | {Figure(runs, OperationRow.Took, 0.5, 1)} | {Figure(runs, OperationRow.RateBefore, 0.5)} | {Figure(runs, OperationRow.RateDuring, 0.5)} | {Figure(runs, OperationRow.RateAfter, 0.5)} | {Figure(runs, OperationRow.Dip, 0, 0.5, 1)} |");
        }
        var others = _rows.Where(row => row.Row is not OperationRow && row.Runs.Any(run => run.Figures.Count > 0)).ToArray();
        if (others.Length > 0)
        {
            output.WriteLine();
            output.WriteLine("| fault | figure | p50 / max |");
            output.WriteLine("|---|---|---|");
            foreach (var (row, runs, _) in others)
                foreach (var name in runs.SelectMany(run => run.Figures.Keys).Distinct())
                    output.WriteLine($"| {row.Text} | {name} | {Figure(runs, name, 0.5, 1)} |");
        }
        output.WriteLine();
        output.WriteLine(_problems.Count == 0 ? "every text was right, and errors came where they must" : $"NOT as required:\n- {string.Join("\n- ", _problems)}");
        return _problems.Count == 0;
    }

    private void Save()
    {
        if (options.Json is not { } file)
            return;
        // Exchanged as a whole: half a file would be of no use to whoever cut the run.
        var aside = $"{file}.part";
        File.WriteAllText(aside, JsonSerializer.Serialize(new
        {
            model = options.Model, options.Repeat, options.Tokens, options.TransferLimit, cores = Environment.ProcessorCount,
            rows = _rows.Select(row => new { row.Row.Name, row.Row.Text, row.Fault, row.Runs }),
        }, Json));
        File.Move(aside, file, overwrite: true);
    }

    private void Fail(string problem) => _problems.Add(problem);

    private static string Figure(IReadOnlyList<RowRun> runs, string name, params double[] shares) =>
        Quantiles(runs.Where(run => run.Figures.ContainsKey(name)).Select(run => run.Figures[name]), shares);

    private static string Quantiles(IEnumerable<double> values, double[] shares)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? "-" : string.Join(" / ", shares.Select(share => RowRun.Quantile(sorted, share).ToString("0.0", CultureInfo.InvariantCulture)));
    }
}
