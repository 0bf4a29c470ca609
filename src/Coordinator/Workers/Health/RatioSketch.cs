namespace Grok1Cluster.Coordinator.Workers.Health;

/// <summary>
/// Quantiles of numbers around 1, older ones counting less: a histogram whose buckets grow by a quarter of an octave. Adding
/// allocates nothing. Not for concurrent use.
/// </summary>
internal sealed class RatioSketch
{
    private const int PerOctave = 4;

    /// <summary>The lowest bucket ends at 2^-3, the highest begins at 2^12.</summary>
    private const int LowestOctave = -3, Octaves = 15;

    /// <summary>With so many numbers all weights are halved.</summary>
    private const float Most = 2048;

    private readonly float[] _counts = new float[PerOctave * Octaves + 2];
    private float _sum;

    public void Add(double ratio)
    {
        var bucket = ratio > 0 ? Math.Clamp((int)Math.Floor((Math.Log2(ratio) - LowestOctave) * PerOctave) + 1, 0, _counts.Length - 1) : 0;
        _counts[bucket]++;
        if (++_sum < Most)
            return;
        for (var i = 0; i < _counts.Length; i++)
            _counts[i] /= 2;
        _sum /= 2;
    }

    /// <summary>The number that a share of all stays below, up to a bucket's width (19 %) too high; 1 before the first.</summary>
    /// <param name="share">0.5 for the median.</param>
    public double Quantile(double share)
    {
        if (_sum == 0)
            return 1;
        var (left, bucket) = (share * _sum, 0);
        while (bucket < _counts.Length - 1 && (left -= _counts[bucket]) > 0)
            bucket++;
        return Math.Pow(2, LowestOctave + (double)bucket / PerOctave);
    }
}
