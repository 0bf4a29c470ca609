using System.Globalization;
using System.Text.RegularExpressions;

namespace Grok1Cluster.Coordinator.Tests.Metrics;

/// <summary>A parsed <c>/metrics</c> page.</summary>
internal sealed partial class Exposition
{
    private readonly List<(string Name, string Labels, double Value)> _samples = [];

    public Exposition(string text)
    {
        foreach (var line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            if (!line.StartsWith('#') && Sample().Match(line) is { Success: true } match)
                _samples.Add((match.Groups[1].Value, match.Groups[2].Value, double.Parse(match.Groups[3].Value.Replace("+Inf", "Infinity"), CultureInfo.InvariantCulture)));
    }

    /// <summary>Names of all samples, those of a histogram's parts as well.</summary>
    public IReadOnlySet<string> Names => _samples.Select(sample => sample.Name).ToHashSet();

    /// <summary>The sum of a metric's series that have all the labels, each as <c>key="value"</c>.</summary>
    public double Sum(string name, params string[] labels)
    {
        var found = _samples.Where(sample => sample.Name == name && labels.All(sample.Labels.Contains)).ToList();
        Assert.True(found.Count > 0, $"no sample of {name} with {string.Join(", ", labels)}");
        return found.Sum(sample => sample.Value);
    }

    /// <summary>How many series a metric has.</summary>
    public int Count(string name) => _samples.Count(sample => sample.Name == name);

    [GeneratedRegex(@"^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$")]
    private static partial Regex Sample();
}
