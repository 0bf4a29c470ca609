using System.Diagnostics;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>Peak resident memory of processes, as the system counts it.</summary>
internal static class PeakMemory
{
    /// <summary>Lets this process's peak begin at what it has now, where the system can do that (Linux).</summary>
    public static void ResetOwn()
    {
        try
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The peak then has the probe of the read bandwidth in it, which only makes it larger.
        }
    }

    /// <summary>The peaks of this process and of others, added.</summary>
    public static long Sum(IEnumerable<int> others)
    {
        using var self = Process.GetCurrentProcess();
        return self.PeakWorkingSet64 + others.Sum(id =>
        {
            using var process = Process.GetProcessById(id);
            return process.PeakWorkingSet64;
        });
    }
}
