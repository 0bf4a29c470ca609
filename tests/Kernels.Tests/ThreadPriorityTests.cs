using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Tests;

/// <summary>Work that gives way, and what comes after it.</summary>
public partial class ThreadPriorityTests
{
    private const int PriorityOfThread = 0, Nicest = 19;

    private static int OfProcess => GetPriority(PriorityOfThread, (uint)Environment.ProcessId);

    [Fact]
    public async Task Work_gives_way_and_threads_that_are_started_after_it_do_not()
    {
        if (!OperatingSystem.IsLinux())
            return;
        var usual = OfProcess;
        // A thread inherits its priority: so would one of the thread pool that is started for what goes on here.
        for (var round = 0; round < 20; round++)
        {
            var (within, nested) = (0, 0);
            await BackgroundThread.Run(() =>
            {
                within = GetPriority(PriorityOfThread, 0);
                BackgroundThread.Run(() => nested = GetPriority(PriorityOfThread, 0)).Wait();
            });
            Assert.Equal(Math.Min(Nicest, usual + 10), within);
            Assert.Equal(within, nested);
            Assert.Equal(usual, OfNewThread());
        }
    }

    [Fact]
    public async Task An_exception_of_the_work_is_that_of_the_task()
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => BackgroundThread.Run(() => throw new InvalidOperationException("no")));
        Assert.Equal("no", error.Message);
    }

    private static int OfNewThread()
    {
        var niceness = 0;
        var thread = new Thread(() => niceness = GetPriority(PriorityOfThread, 0));
        thread.Start();
        thread.Join();
        return niceness;
    }

    [LibraryImport("libc", EntryPoint = "getpriority")]
    private static partial int GetPriority(int which, uint who);
}
