using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Grok1Cluster.Cluster.Metrics;

/// <summary>One metric: its series by their labels. Recording into a series that exists allocates nothing.</summary>
internal sealed class MetricFamily
{
    private const int MaxTags = 3;

    private readonly Dictionary<TagValues, Series> _series = [];
    private readonly bool _observed;
    private readonly bool _adds;
    private readonly double[]? _buckets;

    private MetricFamily(Instrument instrument, string type, double[]? buckets)
    {
        (Name, Help, Type, _buckets) = (instrument.Name, instrument.Description ?? throw new ArgumentException($"{instrument.Name} has no description"), type, buckets);
        _observed = instrument.IsObservable;
        _adds = type == "counter" && !_observed;
    }

    public string Name { get; }

    public string Help { get; }

    /// <summary>counter, gauge or histogram.</summary>
    public string Type { get; }

    public static MetricFamily For(Instrument instrument) => instrument switch
    {
        Histogram<double> histogram => new(instrument, "histogram", Edges(histogram)),
        Counter<long> or Counter<double> or ObservableCounter<long> or ObservableCounter<double> => new(instrument, "counter", null),
        ObservableGauge<long> or ObservableGauge<double> => new(instrument, "gauge", null),
        _ => throw new ArgumentException($"{instrument.Name}: {instrument.GetType().Name} is not supported"),
    };

    public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tags.Length, MaxTags);
        var key = new TagValues(tags.Length > 0 ? tags[0].Value : null, tags.Length > 1 ? tags[1].Value : null, tags.Length > 2 ? tags[2].Value : null);
        lock (_series)
        {
            if (!_series.TryGetValue(key, out var series))
                _series.Add(key, series = new Series(LabelText.Of(tags), _buckets));
            series.Record(value, _adds);
        }
    }

    public void BeginCollection()
    {
        if (!_observed)
            return;
        lock (_series)
            _series.Clear();
    }

    public void WriteTo(StringBuilder text)
    {
        lock (_series)
        {
            if (_series.Count == 0)
                return;
            text.Append("# HELP ").Append(Name).Append(' ').Append(Help).Append("\n# TYPE ").Append(Name).Append(' ').Append(Type).Append('\n');
            foreach (var series in _series.Values)
                series.WriteTo(text, Name, _buckets);
        }
    }

    private static double[] Edges(Histogram<double> histogram) =>
        histogram.Advice?.HistogramBucketBoundaries is { } edges ? [.. edges] : throw new ArgumentException($"{histogram.Name} has no bucket boundaries");

    /// <summary>What tells the series of a metric apart; their keys are the same for all.</summary>
    private readonly record struct TagValues(object? First, object? Second, object? Third);

    private sealed class Series(string labels, double[]? buckets)
    {
        /// <summary>Observations per bucket, the last for those above every edge; not cumulated.</summary>
        private readonly long[] _counts = new long[(buckets?.Length ?? -1) + 1];
        private double _value;

        public void Record(double value, bool adds)
        {
            if (buckets is null)
            {
                _value = adds ? _value + value : value;
                return;
            }
            var bucket = 0;
            while (bucket < buckets.Length && value > buckets[bucket])
                bucket++;
            _counts[bucket]++;
            _value += value;
        }

        public void WriteTo(StringBuilder text, string name, double[]? edges)
        {
            if (edges is null)
            {
                WriteLine(text, name, "", null, _value);
                return;
            }
            var total = 0L;
            for (var bucket = 0; bucket < _counts.Length; bucket++)
                WriteLine(text, name, "_bucket", bucket < edges.Length ? Format(edges[bucket]) : "+Inf", total += _counts[bucket]);
            WriteLine(text, name, "_sum", null, _value);
            WriteLine(text, name, "_count", null, total);
        }

        private void WriteLine(StringBuilder text, string name, string suffix, string? edge, double value)
        {
            text.Append(name).Append(suffix);
            if (labels.Length > 0 || edge is not null)
            {
                text.Append('{').Append(labels);
                if (edge is not null)
                    text.Append(labels.Length > 0 ? "," : "").Append("le=\"").Append(edge).Append('"');
                text.Append('}');
            }
            text.Append(' ').Append(Format(value)).Append('\n');
        }

        private static string Format(double value) =>
            double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);
    }
}
