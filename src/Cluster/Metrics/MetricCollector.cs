using System.Diagnostics.Metrics;
using System.Text;

namespace Grok1Cluster.Cluster.Metrics;

/// <summary>
/// Gathers what the instruments of one meter record and writes it as Prometheus text. An instrument's name is the metric's
/// name, its tags are the labels (the same keys in the same order in every measurement), its advice has a histogram's
/// buckets. Thread-safe.
/// </summary>
public sealed class MetricCollector : IDisposable
{
    /// <summary>The media type of <see cref="Write"/>'s text.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly MeterListener _listener = new();
    private readonly Lock _collecting = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);

    /// <param name="meter">Whose instruments; those that exist already and those that are made later.</param>
    public MetricCollector(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!ReferenceEquals(instrument.Meter, meter))
                return;
            var family = MetricFamily.For(instrument);
            lock (_families)
                _families.Add(instrument.Name, family);
            listener.EnableMeasurementEvents(instrument, family);
        };
        _listener.SetMeasurementEventCallback<long>((_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<double>((_, value, tags, family) => ((MetricFamily)family!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>Names of the metrics, each with its type and its help text.</summary>
    public IReadOnlyList<(string Name, string Type, string Help)> Describe()
    {
        lock (_families)
            return [.. _families.Values.Select(family => (family.Name, family.Type, family.Help))];
    }

    /// <summary>Everything as of now, in the text format 0.0.4.</summary>
    public string Write()
    {
        var text = new StringBuilder(1 << 16);
        lock (_collecting)
        {
            MetricFamily[] families;
            lock (_families)
                families = [.. _families.Values];
            // An observed series that is not seen again is gone.
            foreach (var family in families)
                family.BeginCollection();
            _listener.RecordObservableInstruments();
            foreach (var family in families)
                family.WriteTo(text);
        }
        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();
}
