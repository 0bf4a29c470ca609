using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What the system keeps of files in memory (Linux).</summary>
internal static partial class PageCache
{
    private const int DontNeed = 4;
    private const int Read = 1;
    private const int Shared = 1;

    /// <summary>Drops the files of a folder, as far as no process has them mapped.</summary>
    /// <returns>The share of their bytes that stayed in memory all the same.</returns>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static double Drop(string folder)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("dropping files from the system's cache, for a cold start, works on Linux only");
        long kept = 0, all = 0;
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            using var file = File.OpenHandle(path);
            var length = RandomAccess.GetLength(file);
            if (length == 0)
                continue;
            var error = Fadvise(file, 0, 0, DontNeed);
            if (error != 0)
                throw new Win32Exception(error, $"{path}: cannot be dropped from the system's cache");
            kept += Resident(file, length);
            all += Pages(length);
        }
        return all == 0 ? 0 : (double)kept / all;
    }

    private static long Pages(long length) => (length + Environment.SystemPageSize - 1) / Environment.SystemPageSize;

    private static unsafe long Resident(SafeHandle file, long length)
    {
        var address = Map(0, (nuint)length, Read, Shared, file, 0);
        if (address == -1)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "a model file cannot be mapped");
        var pages = new byte[Pages(length)];
        int result;
        fixed (byte* states = pages)
            result = Mincore(address, (nuint)length, states);
        var error = Marshal.GetLastPInvokeError();
        Unmap(address, (nuint)length);
        return result == 0 ? pages.LongCount(state => (state & 1) != 0) : throw new Win32Exception(error, "the system does not say what it keeps of a model file");
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Fadvise(SafeHandle file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, SafeHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "mincore", SetLastError = true)]
    private static unsafe partial int Mincore(nint address, nuint length, byte* states);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
