using System.Runtime.CompilerServices;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Engine;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>What a coordinator keeps of workers that ended: nothing.</summary>
[Collection(nameof(Alone))]
public sealed class RestartTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private const int Kill9 = 9, Restarts = 4;

    [Fact]
    public async Task Of_workers_that_were_started_again_no_pipe_no_connection_and_no_address_is_kept()
    {
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Golden("tiny-b"), Threads = 1, Workers = 1, Program = [Grok1Process.ExecutablePath], KvMemory = 16 << 20,
        }, _ => { }, CancellationToken.None);
        var engine = session.StartEngine(new EngineOptions());
        var gone = new List<WeakReference>();
        await RestartAsync(session, engine, gone);
        var pipes = Pipes();
        for (var restart = 1; restart < Restarts; restart++)
            await RestartAsync(session, engine, gone);
        Assert.Equal(pipes, Pipes());
        Assert.Equal(session.LocalWorkers!.Ready.Select(worker => worker.Address), session.Cluster!.Membership.Workers.Select(worker => worker.Address));

        // The last one may still be named by what the engine looked at last.
        Collect();
        Assert.InRange(gone.Count(connection => connection.IsAlive), 0, 1);
    }

    private static async Task RestartAsync(ClusterSession session, InferenceEngine engine, List<WeakReference> gone)
    {
        var back = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Look(WorkerLink link, WorkerChange change)
        {
            if (change == WorkerChange.Back)
                back.TrySetResult();
        }
        session.WorkerPool!.Changed += Look;
        Note(session, gone);
        Signals.Send(session.LocalProcessIds[0], Kill9);
        await back.Task.WaitAsync(Grok1Process.DefaultTimeout);
        session.WorkerPool.Changed -= Look;
        await FailoverCluster.GenerateAsync(engine, tokens: 2);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Note(ClusterSession session, List<WeakReference> gone) => gone.Add(new WeakReference(session.Workers[0]));

    private static void Collect()
    {
        for (var round = 0; round < 3; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    private static int Pipes() => Directory.GetFiles("/proc/self/fd").Count(file =>
    {
        try
        {
            return new FileInfo(file).LinkTarget?.StartsWith("pipe:", StringComparison.Ordinal) == true;
        }
        catch (IOException)
        {
            // Closed in between: the one that lists them.
            return false;
        }
    });
}
