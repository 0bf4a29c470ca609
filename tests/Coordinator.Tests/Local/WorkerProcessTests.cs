using Grok1Cluster.Coordinator.Local;

namespace Grok1Cluster.Coordinator.Tests.Local;

public sealed class WorkerProcessTests
{
    /// <summary>Ctrl-C is for all processes of a terminal, and a worker may end by it before its parent has taken note.</summary>
    [Fact]
    public async Task A_worker_that_ended_by_the_signal_that_ends_its_parent_is_no_fault()
    {
        using var signal = new CancellationTokenSource();
        var starting = WorkerProcess.StartAsync(["/bin/sh", "-c", "exit 130"], [], _ => { }, null, signal.Token);
        signal.CancelAfter(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
    }

    [Fact]
    public async Task A_worker_that_ends_at_its_start_is_a_fault_with_its_exit_code_and_its_last_line()
    {
        var fault = await Assert.ThrowsAsync<IOException>(() =>
            WorkerProcess.StartAsync(["/bin/sh", "-c", "echo no such thing >&2; exit 7"], [], _ => { }, null, CancellationToken.None));
        Assert.Equal("a worker ended at its start with exit code 7: no such thing", fault.Message);
    }
}
