namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>Processor time of this process's threads by their names, as Linux keeps it (<c>/proc/self/task</c>).</summary>
internal static class ThreadTimes
{
    /// <summary>Adds the time of threads whose names begin with <paramref name="prefix"/>; null where the system does not tell.</summary>
    /// <param name="prefix">At most 15 characters, since the system keeps no more.</param>
    public static TimeSpan? Sum(string prefix)
    {
        try
        {
            var nanoseconds = 0L;
            foreach (var thread in Directory.EnumerateDirectories("/proc/self/task"))
                if (File.ReadAllText(Path.Combine(thread, "comm")).StartsWith(prefix, StringComparison.Ordinal))
                    nanoseconds += long.Parse(File.ReadAllText(Path.Combine(thread, "schedstat")).Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
            return TimeSpan.FromMicroseconds(nanoseconds / 1e3);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
