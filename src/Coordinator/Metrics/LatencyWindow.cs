namespace Grok1Cluster.Coordinator.Metrics;

/// <summary>The latest values of a latency, for quantiles as of now. One thread adds, any thread reads.</summary>
public sealed class LatencyWindow
{
    private readonly double[] _values = new double[512];
    private long _count;

    public void Add(double value)
    {
        lock (_values)
            _values[_count++ % _values.Length] = value;
    }

    /// <summary>A quantile; null when nothing was added.</summary>
    /// <param name="share">0.5 for the median.</param>
    public double? Quantile(double share)
    {
        double[] sorted;
        lock (_values)
            sorted = _values[..(int)Math.Min(_count, _values.Length)];
        if (sorted.Length == 0)
            return null;
        Array.Sort(sorted);
        return sorted[(int)(share * (sorted.Length - 1))];
    }
}
