using System.Globalization;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>Which CPUs threads may run on (Linux).</summary>
public static unsafe partial class CpuAffinity
{
    /// <summary>Restricts every thread of this process, and those that they start later.</summary>
    /// <exception cref="IOException">The system refuses: a CPU does not exist or is not allowed here.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static void RestrictProcess(CpuSet cpus)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("CPUs can be chosen on Linux only");
        foreach (var task in Directory.EnumerateDirectories("/proc/self/task"))
            Set(int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture), cpus);
    }

    /// <summary>Restricts the calling thread.</summary>
    /// <inheritdoc cref="RestrictProcess" path="/exception"/>
    public static void RestrictThread(CpuSet cpus)
    {
        if (!OperatingSystem.IsLinux())
            throw new PlatformNotSupportedException("CPUs can be chosen on Linux only");
        Set(0, cpus);
    }

    /// <summary>Where the calling thread may run, in ascending order; null where the system does not say, or there are CPUs beyond <see cref="CpuSet.Limit"/>.</summary>
    public static CpuSet? Allowed()
    {
        if (!OperatingSystem.IsLinux())
            return null;
        Span<byte> mask = stackalloc byte[CpuSet.Limit / 8];
        mask.Clear();
        fixed (byte* bits = mask)
            if (GetAffinity(0, (nuint)mask.Length, bits) != 0)
                return null;
        var cpus = new List<int>();
        for (var cpu = 0; cpu < CpuSet.Limit; cpu++)
            if ((mask[cpu / 8] >> (cpu % 8) & 1) != 0)
                cpus.Add(cpu);
        return new CpuSet(cpus);
    }

    private static void Set(int thread, CpuSet cpus)
    {
        Span<byte> mask = stackalloc byte[CpuSet.Limit / 8];
        mask.Clear();
        foreach (var cpu in cpus.Cpus)
            mask[cpu / 8] |= (byte)(1 << (cpu % 8));
        const int noSuchThread = 3;
        fixed (byte* bits = mask)
            // A thread that ended since it was listed is not worth a word.
            if (SetAffinity(thread, (nuint)mask.Length, bits) != 0 && Marshal.GetLastPInvokeError() is var error && error != noSuchThread)
                throw new IOException($"cannot run on CPUs {cpus}: {Marshal.GetPInvokeErrorMessage(error)}");
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity", SetLastError = true)]
    private static partial int SetAffinity(int thread, nuint bytes, byte* mask);

    [LibraryImport("libc", EntryPoint = "sched_getaffinity", SetLastError = true)]
    private static partial int GetAffinity(int thread, nuint bytes, byte* mask);
}
