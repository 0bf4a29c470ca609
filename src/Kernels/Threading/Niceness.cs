using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>What threads get of a busy core (Linux; elsewhere nothing happens). A thread starts with the niceness of the one that starts it.</summary>
internal static partial class Niceness
{
    /// <summary>A thread of the usual priority gets about nine times as much of a busy core.</summary>
    private const int Nicer = 10;

    private const int OfThread = 0, Nicest = 19;

    /// <summary>That of this process when it was first asked for.</summary>
    public static int Usual { get; } = OperatingSystem.IsLinux() ? Get(Environment.ProcessId) : 0;

    /// <summary>That of work which gives way.</summary>
    public static int Low { get; } = Math.Min(Nicest, Usual + Nicer);

    /// <summary>The calling thread.</summary>
    public const int Self = 0;

    /// <param name="thread">Number of a thread of this process, as Linux counts.</param>
    public static int Get(int thread) => GetPriority(OfThread, (uint)thread);

    /// <returns>Whether the system allows it: less than it has is not everybody's to ask for, more is.</returns>
    public static bool TrySet(int thread, int niceness) => OperatingSystem.IsLinux() && SetPriority(OfThread, (uint)thread, niceness) == 0;

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, uint who);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int niceness);
}
