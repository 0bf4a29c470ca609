namespace Grok1Cluster.Model;

/// <summary>Whether something fits into memory, asked before it is loaded.</summary>
public static class MemoryBudget
{
    /// <summary>Bytes that this process can use without pushing others out: the kernel's estimate, or the runtime's limit if that is lower.</summary>
    public static long Available()
    {
        var limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        try
        {
            foreach (var line in File.ReadLines("/proc/meminfo"))
                if (line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                    return Math.Min(limit, long.Parse(line.AsSpan(13).Trim()[..^3]) * 1024);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            // Not Linux, or no such estimate: the runtime's limit has to do.
        }
        return limit;
    }

    /// <summary>Checks a need against a limit, or against what is available when there is none.</summary>
    /// <param name="what">What needs the memory.</param>
    /// <param name="needed">Bytes.</param>
    /// <param name="limit">Bytes, or null.</param>
    /// <exception cref="ResourceException">It does not fit; the message has both figures.</exception>
    public static void Check(string what, long needed, long? limit)
    {
        var available = limit ?? Available();
        if (needed > available)
            throw new ResourceException($"{what} needs {ByteSize.FormatExactly(needed)} of memory, {ByteSize.FormatExactly(available)} are available{(limit is null ? "" : " (--memory-limit)")}; use more or larger machines, or a smaller share");
    }
}
