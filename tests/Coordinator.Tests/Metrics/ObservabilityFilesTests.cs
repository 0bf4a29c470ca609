using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

/// <summary>What lies in infra/observability and in docs/observability.md names what a running cluster really has.</summary>
public sealed partial class ObservabilityFilesTests(ScrapedCluster scraped) : IClassFixture<ScrapedCluster>
{
    private static readonly string Folder = Path.Combine(Repository.Root, "infra", "observability");

    /// <summary>Labels that Prometheus itself adds, and a histogram's.</summary>
    private static readonly string[] AddedLabels = ["instance", "job", "le"];

    [Fact]
    public async Task Every_panel_of_the_Grafana_dashboard_asks_for_metrics_and_labels_that_exist()
    {
        var metrics = await scraped.LabelsAsync();
        var queries = PanelQueries();
        Assert.True(queries.Count > 40, $"{queries.Count} queries");
        Assert.Empty(queries.SelectMany(query => Faults(query, metrics)));
    }

    [Fact]
    public async Task Every_alert_asks_for_metrics_and_labels_that_exist()
    {
        var metrics = await scraped.LabelsAsync();
        var rules = File.ReadLines(Path.Combine(Folder, "alerts.yml")).Where(line => line.TrimStart().StartsWith("expr: ")).Select(line => line.Trim()["expr: ".Length..]).ToList();
        Assert.True(rules.Count >= 10);
        Assert.Empty(rules.SelectMany(rule => Faults(rule, metrics)));
    }

    [ProgramFact("promtool", "prometheus")]
    public async Task Promtool_takes_the_alerts_and_every_query_of_a_panel()
    {
        await CheckRulesAsync(Path.Combine(Folder, "alerts.yml"));
        var rules = new StringBuilder("groups:\n  - name: panels\n    rules:\n");
        foreach (var (query, index) in PanelQueries().Select((query, index) => (query, index)))
            rules.Append($"      - record: panel:{index}\n        expr: {JsonSerializer.Serialize(query.Replace("$__rate_interval", "5m"))}\n");
        var file = Path.Combine(Path.GetTempPath(), $"panels-{Guid.NewGuid():N}.yml");
        await File.WriteAllTextAsync(file, rules.ToString());
        try
        {
            await CheckRulesAsync(file);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task The_documentation_has_a_row_for_every_metric_with_its_labels_and_for_no_other()
    {
        var metrics = await scraped.LabelsAsync();
        var documented = DocumentedMetric().Matches(await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "observability.md")))
            .ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).ToHashSet());
        var real = metrics.Where(metric => metric.Key.IsWhole).ToDictionary(metric => metric.Key.Name, metric => metric.Value);
        Assert.Empty(real.Keys.Except(documented.Keys).Select(name => $"{name} is not documented"));
        Assert.Empty(documented.Keys.Except(real.Keys).Select(name => $"{name} does not exist"));
        Assert.Empty(real.Where(metric => !metric.Value.SetEquals(documented[metric.Key])).Select(metric => $"{metric.Key} has the labels {string.Join(", ", metric.Value)}"));
    }

    private static IReadOnlyList<string> PanelQueries() =>
        [.. JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, "grafana", "dashboards", "grok1.json"))).RootElement.GetProperty("panels").EnumerateArray()
            .Where(panel => panel.TryGetProperty("targets", out _)).SelectMany(panel => panel.GetProperty("targets").EnumerateArray()).Select(target => target.GetProperty("expr").GetString()!)];

    private static IEnumerable<string> Faults(string query, IReadOnlyDictionary<ScrapedMetric, IReadOnlySet<string>> metrics)
    {
        var uses = Metric().Matches(query);
        if (uses.Count == 0)
            yield return $"{query} asks for nothing";
        foreach (Match use in uses)
        {
            var name = use.Groups[1].Value;
            var found = metrics.Where(metric => metric.Key.Name == name).Select(metric => metric.Value).FirstOrDefault();
            if (name == "up")
                continue;
            if (found is null)
                yield return $"{name} does not exist: {query}";
            else
                foreach (Match label in SelectorLabel().Matches(use.Groups[2].Value))
                    if (!found.Contains(label.Groups[1].Value) && !AddedLabels.Contains(label.Groups[1].Value))
                        yield return $"{name} has no label {label.Groups[1].Value}: {query}";
        }
        var all = uses.SelectMany(use => metrics.Where(metric => metric.Key.Name == use.Groups[1].Value).SelectMany(metric => metric.Value)).Concat(AddedLabels).ToHashSet();
        foreach (Match by in ByLabels().Matches(query))
            foreach (var label in by.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries))
                if (!all.Contains(label))
                    yield return $"nothing has the label {label}: {query}";
    }

    private static async Task CheckRulesAsync(string file)
    {
        var result = await Grok1Process.RunAsync(new ProcessStartInfo("promtool", ["check", "rules", file]));
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
    }

    [GeneratedRegex(@"\b((?:grok1|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")]
    private static partial Regex Metric();

    [GeneratedRegex(@"([a-z_]+)\s*(?:=~|!~|!=|=)\s*""")]
    private static partial Regex SelectorLabel();

    [GeneratedRegex(@"\bby\s*\(([^)]*)\)")]
    private static partial Regex ByLabels();

    [GeneratedRegex(@"^\| `((?:grok1|process)_[a-z0-9_]+)` \| [a-z]+ \| ([a-z, _]*) \|", RegexOptions.Multiline)]
    private static partial Regex DocumentedMetric();
}
