using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Memory;

/// <summary>Tells the system about pages that are not needed any more.</summary>
public static unsafe partial class PageAdvice
{
    private const int AdviseNotNeeded = 4;

    /// <summary>
    /// Gives whole pages inside a range back to the system at once (Linux). What they held is gone: anonymous memory reads as
    /// zeros from then on, a mapped file is read again. The range stays reserved until its owner frees it.
    /// </summary>
    /// <param name="start">First byte; locked pages are unlocked first.</param>
    /// <param name="length">Bytes.</param>
    /// <returns>Bytes given back: less than <paramref name="length"/> where the ends lie inside a page.</returns>
    public static long Discard(byte* start, long length)
    {
        var page = (nuint)Environment.SystemPageSize;
        var first = ((nuint)start + page - 1) & ~(page - 1);
        var end = ((nuint)start + (nuint)length) & ~(page - 1);
        if (!OperatingSystem.IsLinux() || end <= first)
            return 0;
        LockedMemory.Unlock((byte*)first, (long)(end - first));
        return Advise((void*)first, end - first, AdviseNotNeeded) == 0 ? (long)(end - first) : 0;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
