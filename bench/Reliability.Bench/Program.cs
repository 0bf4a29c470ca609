using System.Globalization;
using System.Text.Json;
using Grok1Cluster.Reliability.Bench;
using Grok1Cluster.TestKit;
using Grok1Cluster.TestKit.Network;

// What happens to four streams when something happens to the cluster: every row of docs/reliability.md, so often; or for
// long, with a random fault every ten seconds.
//   dotnet run -c Release --project bench/Reliability.Bench -- [--repeat 30] [--fault NAME] [--model demo] [--tokens 100] [--json FILE]
//   dotnet run -c Release --project bench/Reliability.Bench -- --soak 20m [--every 10s] [--seed 1] [--model demo] [--tokens 100]
string Option(string name, string otherwise) => Array.IndexOf(args, $"--{name}") is var at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
TimeSpan Time(string text) => double.Parse(text[..^1], CultureInfo.InvariantCulture) * (text[^1] == 'm' ? TimeSpan.FromMinutes(1) : TimeSpan.FromSeconds(1));

var given = Option("model", "demo");
var model = Directory.Exists(given) ? Path.GetFullPath(given) : Path.Combine(Repository.Root, "models", given);
var tokens = int.Parse(Option("tokens", "100"), CultureInfo.InvariantCulture);
if (args.Contains("--soak"))
{
    var ledger = await new FaultSoak(model, tokens, Console.Error.WriteLine).RunAsync(Time(Option("soak", "20m")), Time(Option("every", "10s")), int.Parse(Option("seed", "1"), CultureInfo.InvariantCulture));
    Console.WriteLine(JsonSerializer.Serialize(ledger));
    return ledger is { Wrong: 0, Cut: 0, Complete: > 0 } ? 0 : 1;
}

var repeat = int.Parse(Option("repeat", "30"), CultureInfo.InvariantCulture);
var rows = FaultRow.All(model, tokens).Where(row => Option("fault", row.Name) == row.Name).ToArray();
if (rows.Length == 0)
{
    Console.Error.WriteLine($"--fault: one of {string.Join(", ", FaultRow.All(model, tokens).Select(row => row.Name))}");
    return 2;
}
IReadOnlyList<string> texts;
using (var undisturbed = await TestedCluster.StartAsync(new TestedClusterOptions { Model = model }))
using (var streams = new Streams(undisturbed.Url, tokens))
    texts = await FaultSoak.ReferenceAsync(streams, FaultRun.Kinds);
var report = new List<object>();
var good = true;
Console.WriteLine("| fault | runs | longest gap ms p50 / p95 / max | ms per token p50 / p95 | recovery ms p50 / max | requests | right | errors | wrong |");
Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
foreach (var row in rows)
{
    if (row.Hosts > 0 && (NetworkLab.Missing.Value ?? PacketFilter.Missing.Value) is { } missing)
    {
        Console.Error.WriteLine($"{row.Name}: left out, {missing}");
        continue;
    }
    var runs = new List<FaultRun>();
    for (var run = 0; run < repeat; run++)
        runs.Add(await FaultRun.MeasureAsync(row, tokens, texts));
    string Of(Func<FaultRun, double> value, params double[] shares)
    {
        var sorted = runs.Select(value).Order().ToArray();
        return string.Join(" / ", shares.Select(share => FaultRun.Quantile(sorted, share).ToString("0.0", CultureInfo.InvariantCulture)));
    }
    Console.WriteLine($"| {row.Text} | {repeat} | {Of(run => run.LongestGapMs, 0.5, 0.95, 1)} | {Of(run => run.GapP50Ms, 0.5)} / {Of(run => run.GapP95Ms, 0.5)} | {Of(run => run.RecoveryMs, 0.5, 1)} | {runs.Sum(run => run.Requests)} | {runs.Sum(run => run.Equal)} | {runs.Sum(run => run.Errors)} | {runs.Sum(run => run.Wrong)} |");
    if (runs.Select(run => run.Message).FirstOrDefault(message => message is not null) is { } message)
        Console.Error.WriteLine($"{row.Name}: {message}");
    // The coordinator's own pause is nobody else's fault.
    good &= runs.All(run => run.Wrong == 0 && run.Errors > 0 == row.MustFail && (row.Name != "stop-coordinator" || run.LostWorkers == 0));
    report.Add(new { row.Name, row.Text, runs });
}
if (Option("json", "") is { Length: > 0 } file)
    await File.WriteAllTextAsync(file, JsonSerializer.Serialize(new { model = Path.GetFileName(model), repeat, tokens, cores = Environment.ProcessorCount, rows = report }, new JsonSerializerOptions(JsonSerializerDefaults.Web) { WriteIndented = true }));
Console.WriteLine(good ? "every text was right, and errors came where they must" : "NOT as required, see above");
return good ? 0 : 1;
