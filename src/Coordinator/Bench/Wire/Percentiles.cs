using System.Diagnostics;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>Round trips measured, in microseconds.</summary>
/// <param name="rounds">Rounds to time.</param>
/// <param name="warmUp">How long to go round before, at least; after about two seconds the compiler takes no core from those who are measured.</param>
internal sealed class Percentiles(int rounds, TimeSpan warmUp)
{
    private readonly double[] _times = new double[rounds];

    /// <summary>Processor time of this process a round.</summary>
    public double CpuMicroseconds { get; private set; }

    /// <summary>Of it, that of the threads of the far ends; null where the system does not tell.</summary>
    public double? FarCpuMicroseconds { get; private set; }

    /// <summary>Runs <paramref name="round"/> untimed, for a tenth of the rounds and the time of warming up, then timed.</summary>
    /// <param name="round">One round.</param>
    /// <param name="farThreads">What the names of the far ends' threads begin with.</param>
    public Percentiles Measure(Action round, string farThreads)
    {
        var begin = Stopwatch.GetTimestamp();
        for (var i = 0; i < rounds / 10 + 1 || Stopwatch.GetElapsedTime(begin) < warmUp; i++)
            round();
        var (cpu, far) = (Environment.CpuUsage.TotalTime, ThreadTimes.Sum(farThreads));
        for (var i = 0; i < rounds; i++)
        {
            var start = Stopwatch.GetTimestamp();
            round();
            _times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }
        CpuMicroseconds = (Environment.CpuUsage.TotalTime - cpu).TotalMicroseconds / rounds;
        FarCpuMicroseconds = (ThreadTimes.Sum(farThreads) - far)?.TotalMicroseconds / rounds;
        Array.Sort(_times);
        return this;
    }

    /// <summary>The time that a share of the rounds did not exceed.</summary>
    public double At(double share) => _times[Math.Min((int)(share * rounds), rounds - 1)];
}
