using System.Diagnostics;

namespace Grok1Cluster.Wire.Bench;

/// <summary>Round trips measured, in microseconds.</summary>
internal sealed class Percentiles(int rounds)
{
    private readonly double[] _times = new double[rounds];

    /// <summary>Runs <paramref name="round"/> untimed for a tenth of the rounds, then timed.</summary>
    public Percentiles Measure(Action round)
    {
        for (var i = 0; i < rounds / 10 + 1; i++)
            round();
        for (var i = 0; i < rounds; i++)
        {
            var start = Stopwatch.GetTimestamp();
            round();
            _times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
        Array.Sort(_times);
        return this;
    }

    /// <summary>The time that a share of the rounds did not exceed.</summary>
    public double At(double share) => _times[Math.Min((int)(share * rounds), rounds - 1)];

    public override string ToString() => $"p50 {At(0.5),8:F1}  p99 {At(0.99),8:F1}  p99.9 {At(0.999),8:F1} us";
}
