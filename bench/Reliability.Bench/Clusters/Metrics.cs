using System.Globalization;

namespace Grok1Cluster.Reliability.Bench.Clusters;

/// <summary>Values of a Prometheus endpoint.</summary>
internal static class Metrics
{
    /// <summary>The sum of a metric over the samples that contain a text.</summary>
    public static async Task<double> SumAsync(HttpClient http, Uri url, string name, string label = "") =>
        (await http.GetStringAsync(new Uri(url, "/metrics"))).Split('\n')
            .Where(line => (line.StartsWith($"{name} ", StringComparison.Ordinal) || line.StartsWith($"{name}{{", StringComparison.Ordinal)) && line.Contains(label, StringComparison.Ordinal))
            .Sum(line => double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
}
