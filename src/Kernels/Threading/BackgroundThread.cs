using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>Work that must not take time from the threads that compute.</summary>
public static partial class BackgroundThread
{
    /// <summary>What the system is asked for; a thread of the usual priority gets about nine times as much of a busy core.</summary>
    private const int Niceness = 10;

    private const int PriorityOfThread = 0;

    /// <summary>Runs the work on a thread of its own that yields to others where cores are short (Linux; elsewhere a plain thread).</summary>
    public static Task Run(Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            // Refused or not known to the system: the work is done all the same.
            if (OperatingSystem.IsLinux())
                _ = SetPriority(PriorityOfThread, 0, Niceness);
            try
            {
                work();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { IsBackground = true, Name = "background" }.Start();
        return done.Task;
    }

    /// <summary>On Linux a process id of 0 is the calling thread alone.</summary>
    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int niceness);
}
