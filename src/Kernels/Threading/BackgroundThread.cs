namespace Grok1Cluster.Kernels.Threading;

/// <summary>Work that must not take time from the threads that compute.</summary>
public static class BackgroundThread
{
    /// <summary>Runs the work on a thread of its own that yields to others where cores are short (Linux; elsewhere a plain thread).</summary>
    public static Task Run(Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Exception? fault = null;
        var worker = Make("background", () =>
        {
            Niceness.Lower();
            try
            {
                work();
            }
            catch (Exception e)
            {
                fault = e;
            }
        });
        // Completing the task may start a thread of the thread pool, which would be as nice for ever, and so would be threads that compute
        // if they are started there. So somebody of the usual priority completes it.
        Make("after background", () =>
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

    private static Thread Make(string name, ThreadStart body) => new(body) { IsBackground = true, Name = name };
}
