using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Memory;

/// <summary>Memory that the system does not page out.</summary>
public static unsafe partial class LockedMemory
{
    /// <summary>Locks a range, bringing every page of it in.</summary>
    /// <param name="start">First byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="problem">The system's reason when it refuses.</param>
    public static bool TryLock(byte* start, long length, out string? problem)
    {
        problem = !OperatingSystem.IsLinux() ? "not supported on this system"
            : Lock(start, (nuint)length) == 0 ? null : Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError());
        return problem is null;
    }

    /// <summary>Undoes <see cref="TryLock"/>.</summary>
    public static void Unlock(byte* start, long length) => _ = UnlockPages(start, (nuint)length);

    [LibraryImport("libc", EntryPoint = "mlock", SetLastError = true)]
    private static partial int Lock(void* start, nuint length);

    [LibraryImport("libc", EntryPoint = "munlock")]
    private static partial int UnlockPages(void* start, nuint length);
}
