using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Threading;

/// <summary>Work that must not take time from the threads that compute.</summary>
public static partial class BackgroundThread
{
    /// <summary>Added to what the first thread of this process has: a thread of the usual priority gets about nine times as much of a busy core.</summary>
    private const int Nicer = 10;

    private const int PriorityOfThread = 0, Nicest = 19;

    /// <summary>Runs the work on a thread of its own that yields to others where cores are short (Linux; elsewhere a plain thread).</summary>
    public static Task Run(Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Exception? fault = null;
        var worker = Named(() =>
        {
            // Refused or not known to the system: the work is done all the same.
            if (OperatingSystem.IsLinux())
                _ = SetPriority(PriorityOfThread, 0, Math.Min(Nicest, GetPriority(PriorityOfThread, (uint)Environment.ProcessId) + Nicer));
            try
            {
                work();
            }
            catch (Exception e)
            {
                fault = e;
            }
        });
        // A thread starts with the priority of the one that starts it, for ever: completing the task may start a thread of the thread pool,
        // and what goes on there may start threads that compute. So somebody of the usual priority completes it.
        Named(() =>
        {
            worker.Start();
            worker.Join();
            if (fault is null)
                done.SetResult();
            else
                done.SetException(fault);
        }).Start();
        return done.Task;
    }

    private static Thread Named(ThreadStart body) => new(body) { IsBackground = true, Name = "background" };

    /// <summary>On Linux a process id of 0 is the calling thread alone.</summary>
    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, uint who, int niceness);

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, uint who);
}
