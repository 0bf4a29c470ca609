using System.Diagnostics;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>Round trips measured, in microseconds.</summary>
/// <param name="rounds">Rounds to time.</param>
internal sealed class Percentiles(int rounds)
{
    private readonly double[] _times = new double[rounds];

    /// <summary>Processor time of this process a round.</summary>
    public double CpuMicroseconds { get; private set; }

    /// <summary>Runs <paramref name="round"/> untimed for a tenth of the rounds, then timed.</summary>
    public Percentiles Measure(Action round)
    {
        for (var i = 0; i < rounds / 10 + 1; i++)
            round();
        using var self = Process.GetCurrentProcess();
        var cpu = self.TotalProcessorTime;
        for (var i = 0; i < rounds; i++)
        {
            var start = Stopwatch.GetTimestamp();
            round();
            _times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
        self.Refresh();
        CpuMicroseconds = (self.TotalProcessorTime - cpu).TotalMicroseconds / rounds;
        Array.Sort(_times);
        return this;
    }

    /// <summary>The time that a share of the rounds did not exceed.</summary>
    public double At(double share) => _times[Math.Min((int)(share * rounds), rounds - 1)];
}
