using System.Text.RegularExpressions;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

/// <param name="Name">Of a sample.</param>
/// <param name="IsWhole">Whether that is the metric's own name; false for a part of a histogram.</param>
public readonly record struct ScrapedMetric(string Name, bool IsWhole);

/// <summary>A coordinator and a worker of its own port, after a request: everything that they measure has a value.</summary>
public sealed partial class ScrapedCluster : IAsyncLifetime
{
    private Grok1Process _worker = null!;
    private Cluster _cluster = null!;
    private string _workerMetrics = "";

    public async Task InitializeAsync()
    {
        _worker = Grok1Process.Start("worker", "--model", "demo", "--listen", "127.0.0.1:0", "--http-port", "0");
        _workerMetrics = (await _worker.WaitForErrorLineAsync(line => line.Contains("metrics on "))).Split(' ')[^1];
        var listening = await _worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        _cluster = await Cluster.StartAsync("serve", "--model", "demo", "--plan", "whole", "--worker-address", listening.Split(' ')[^1]);
        await _cluster.CompleteAsync(new { prompt = new[] { 5, 6, 7 }, max_tokens = 5, ignore_eos = true });
    }

    public Task DisposeAsync()
    {
        _cluster?.Dispose();
        _worker?.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Every sample's name, and a histogram's own, with its labels.</summary>
    public async Task<IReadOnlyDictionary<ScrapedMetric, IReadOnlySet<string>>> LabelsAsync()
    {
        var text = await _cluster.Client.GetStringAsync("/metrics") + await _cluster.Client.GetStringAsync(_workerMetrics);
        var types = TypeLine().Matches(text).Select(match => match.Groups[1].Value).ToHashSet();
        var found = new Dictionary<ScrapedMetric, IReadOnlySet<string>>();
        foreach (Match sample in Sample().Matches(text))
        {
            var labels = Label().Matches(sample.Groups[2].Value).Select(match => match.Groups[1].Value).Where(label => label != "le").ToHashSet();
            var name = sample.Groups[1].Value;
            found[new ScrapedMetric(name, types.Contains(name))] = labels;
            if (!types.Contains(name))
                found[new ScrapedMetric(name[..name.LastIndexOf('_')], true)] = labels;
        }
        return found;
    }

    [GeneratedRegex(@"^# TYPE (\S+) ", RegexOptions.Multiline)]
    private static partial Regex TypeLine();

    [GeneratedRegex(@"^([a-z0-9_]+)(?:\{(.*)\})? \S+$", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex(@"([a-z_]+)=""")]
    private static partial Regex Label();
}
