using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>What threads get of a busy core (Linux; elsewhere nothing happens). A thread starts with the niceness of the one that starts it.</summary>
internal static partial class Niceness
{
    /// <summary>A thread of the usual priority gets about nine times as much of a busy core.</summary>
    private const int Nicer = 10;

    private const int OfThread = 0, Self = 0, Nicest = 19;

    /// <summary>That of this process when it first had work that gives way; a thread of it may be as nice already.</summary>
    private static readonly int Usual = OperatingSystem.IsLinux() ? GetPriority(OfThread, (uint)Environment.ProcessId) : 0;

    /// <summary>The calling thread gives way from now on; a process that is not root's cannot take that back.</summary>
    public static void Lower()
    {
        // Refused or not known to the system: the work is done all the same.
        if (OperatingSystem.IsLinux())
            _ = SetPriority(OfThread, Self, Math.Min(Nicest, Usual + Nicer));
    }

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, uint who);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int niceness);
}
