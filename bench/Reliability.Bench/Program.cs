using System.Text.Json;
using Grok1Cluster.Reliability.Bench;
using Grok1Cluster.Reliability.Bench.Rows;
using Grok1Cluster.TestKit;

BenchOptions options;
try
{
    options = BenchOptions.Parse(args);
}
catch (FormatException e)
{
    Console.Error.WriteLine($"{e.Message}; --help has the options");
    return 2;
}
var rows = AllRows.Make(options);
if (options.IsHelp)
{
    Console.WriteLine(BenchOptions.Help);
    Console.WriteLine();
    Console.WriteLine("rows:");
    foreach (var row in rows)
        Console.WriteLine($"  {row.Name,-18}{row.Text}");
    return 0;
}
if (options.Faults.Except(rows.Select(row => row.Name)).ToArray() is { Length: > 0 } unknown)
{
    Console.Error.WriteLine($"--fault: there is no row {string.Join(", ", unknown)}; there are {string.Join(", ", rows.Select(row => row.Name))}");
    return 2;
}
if (options.Program is { } program)
    Grok1Process.ExecutablePath = program;
using var bench = new BenchContext(options, Console.Error.WriteLine);
if (!Directory.Exists(bench.Model))
{
    Console.Error.WriteLine($"--model: there is no {bench.Model}");
    return 2;
}
if (options.Soak is { } time)
{
    var ledger = await new FaultSoak(bench.Model, options.Tokens, Console.Error.WriteLine).RunAsync(time, options.Every, options.Seed);
    Console.WriteLine(JsonSerializer.Serialize(ledger));
    return ledger is { Wrong: 0, Cut: 0, Complete: > 0 } ? 0 : 1;
}
var report = new RowReport(options, Console.Out);
foreach (var row in rows.Where(row => options.Faults.Count == 0 || options.Faults.Contains(row.Name)))
    if (row.Missing is { } missing)
        Console.Error.WriteLine($"{row.Name}: left out, {missing}");
    else
        await MeasureAsync(row);
return report.End() ? 0 : 1;

// One row that cannot be run does not take the others with it.
async Task MeasureAsync(Row row)
{
    var runs = new List<RowRun>();
    string? fault = null;
    try
    {
        await foreach (var run in row.MeasureAsync(bench))
            runs.Add(run);
    }
    catch (Exception e)
    {
        Console.Error.WriteLine($"{row.Name}: {e}");
        // What a process did not do, and the last that it said.
        var lines = e.Message.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        fault = lines.Length > 1 ? $"{lines[0]}: {lines[^1]}" : e.Message;
    }
    report.Add(row, runs, fault);
}
