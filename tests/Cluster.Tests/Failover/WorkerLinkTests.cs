using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Tests.Security;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>How a coordinator looks for a worker that it has lost.</summary>
public sealed class WorkerLinkTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    [Fact]
    public async Task A_worker_is_taken_out_once_however_many_take_it_out()
    {
        await using var worker = await FaultyWorker.StartAsync("worker-0", models.Golden("tiny-a"));
        await using var pool = await ConnectAsync(worker.Address, null);
        var left = 0;
        pool.Changed += (_, change) => left += change == WorkerChange.Left ? 1 : 0;
        var link = pool.Links[0];
        await pool.RemoveAsync(link);
        // A drain, and the watch that sees that it is gone.
        await pool.RemoveAsync(link);
        Assert.Equal(1, left);
    }

    [Fact]
    public async Task An_attempt_to_reach_a_worker_goes_on_where_its_address_is_told_again()
    {
        var model = models.Golden("tiny-a");
        var first = await FaultyWorker.StartAsync("worker-0", model);
        await using var pool = await ConnectAsync(first.Address, null);
        var (link, address) = (pool.Links[0], first.Address);
        var back = BackAsync(pool);
        await first.DisposeAsync();
        var (asked, answer, questions) = (new TaskCompletionSource(), new TaskCompletionSource(), 0);
        await using var second = await FaultyWorker.StartAsync("worker-0", model, address, _ =>
        {
            Interlocked.Increment(ref questions);
            asked.TrySetResult();
            answer.Task.Wait();
        });
        await asked.Task.WaitAsync(Grok1Process.DefaultTimeout);
        link.SetAddress(address);
        answer.SetResult();
        await back.WaitAsync(Grok1Process.DefaultTimeout);
        Assert.Equal(1, questions);
    }

    [Fact]
    public async Task A_worker_that_shows_the_certificate_of_another_is_not_asked_again_and_again_without_a_pause()
    {
        const int Others = 30;
        using var authority = new TestAuthority();
        var coordinator = NodeCredentials.Open(authority.Coordinator, _ => { });
        var worker = await ExpertWorkerHost.StartAsync(new ExpertWorkerOptions
        {
            Id = "worker-0", ModelPath = models.Golden("tiny-a"), Threads = 1, Tls = NodeCredentials.Open(authority.Node(NodeRole.Worker, "worker-0"), _ => { }),
        }, _ => { }, CancellationToken.None);
        var address = worker.Address.ToString();
        await using var pool = await ConnectAsync(address, coordinator);
        await worker.DisposeAsync();

        var (impostor, asked, connections) = (NodeCredentials.Open(authority.Node(NodeRole.Worker, "worker-1"), _ => { }), new TaskCompletionSource(), 0);
        await using var server = await GrpcServer.StartAsync(new GrpcServices(), new GrpcServerOptions
        {
            Listen = [address],
            Tls = () =>
            {
                Interlocked.Increment(ref connections);
                asked.TrySetResult();
                return impostor.Server();
            },
        }, CancellationToken.None);
        await asked.Task.WaitAsync(Grok1Process.DefaultTimeout);
        // While others come and go, the one that was refused waits.
        for (var other = 0; other < Others; other++)
            await Assert.ThrowsAnyAsync<Exception>(() => WorkerConnection.ConnectAsync(address, coordinator, null, CancellationToken.None));
        Assert.InRange(connections - Others, 1, Others / 2);
    }

    /// <summary>A pool of one worker.</summary>
    private async Task<WorkerPool> ConnectAsync(string address, NodeCredentials? tls)
    {
        var connection = await WorkerConnection.ConnectAsync(address, tls, null, CancellationToken.None);
        return new WorkerPool(Planner.Whole(FailoverCluster.Geometry(models.Golden("tiny-a")), [connection.Id]), connection.Description.Fingerprint, [connection]);
    }

    private static Task BackAsync(WorkerPool pool)
    {
        var back = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        pool.Changed += (_, change) =>
        {
            if (change == WorkerChange.Back)
                back.TrySetResult();
        };
        return back.Task;
    }
}
