using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>A coordinator keeps up with workers that come and go at bad moments.</summary>
public sealed class FollowingTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private RegisteredMembership _membership = null!;

    [Fact]
    public async Task A_worker_with_another_id_at_the_address_of_a_lost_one_is_taken_in()
    {
        await using var cluster = await StartAsync("a");
        await cluster.StartWorkerAsync("b");
        _membership.Set(Member(cluster, "a"), Member(cluster, "b"));
        await _membership.UntilPlanNamesAsync("a", "b");
        var address = cluster.Address("b");
        await cluster.StopWorkerAsync("b");
        await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady);
        await cluster.StartWorkerAsync("c", address);
        _membership.Set(Member(cluster, "a"), Member(cluster, "c"));
        await _membership.UntilPlanNamesAsync("a", "c");
        await cluster.GenerateAsync();
    }

    [Fact]
    public async Task A_worker_joins_also_at_the_address_of_a_lost_one_with_another_id()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var address = cluster.Address("b");
        await cluster.StopWorkerAsync("b");
        await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady);
        await cluster.StartWorkerAsync("c", address);
        await cluster.Operations.JoinAsync(address, _ => { });
        Assert.Equal(["a", "c"], cluster.Plan.HoldingWorkers().AsEnumerable());
        await cluster.GenerateAsync();
    }

    [Fact]
    public async Task A_worker_that_was_drained_and_comes_again_has_a_part_again()
    {
        await using var cluster = await StartAsync("a");
        await cluster.StartWorkerAsync("b");
        _membership.Set(Member(cluster, "a"), Member(cluster, "b"));
        await _membership.UntilPlanNamesAsync("a", "b");
        await cluster.UntilAsync(pool => pool.Coverage.IsComplete);
        await WhenFreeAsync(() => cluster.Operations.DrainAsync("b", _ => { }));
        await cluster.StopWorkerAsync("b");
        Assert.DoesNotContain("b", cluster.Plan.NamedWorkers());
        await cluster.StartWorkerAsync("b");
        _membership.Set(Member(cluster, "a"), Member(cluster, "b"));
        await _membership.UntilPlanNamesAsync("a", "b");
    }

    [Fact]
    public async Task A_fault_that_nobody_foresaw_while_a_worker_is_given_its_part_keeps_no_later_one_out()
    {
        await using var cluster = await StartAsync("a");
        _membership.LockFault = new InvalidOperationException("as the test wants it");
        await cluster.StartWorkerAsync("b");
        _membership.Set(Member(cluster, "a"), Member(cluster, "b"));
        await _membership.LockFailed.WaitAsync(Grok1Process.DefaultTimeout);
        await cluster.StartWorkerAsync("c");
        _membership.Set(Member(cluster, "a"), Member(cluster, "b"), Member(cluster, "c"));
        await _membership.UntilPlanNamesAsync("a", "b", "c");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_change_that_failed_lets_go_of_nothing_that_the_plan_in_force_needs(bool overtaken)
    {
        await using var cluster = await StartAsync("a", "b");
        var followed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        cluster.Session.WorkerPool!.PlanChanged += _ => followed.TrySetResult();
        // Another coordinator was faster, or the plan was exchanged and only the answer was lost.
        _membership.IsOvertaken = overtaken;
        _membership.AnswerFault = overtaken ? null : new MembershipException("no answer, as the test wants it");
        await Assert.ThrowsAsync<OperationException>(() => cluster.Operations.MoveAsync(layer: 0, bundle: 0, "a", "b", _ => { }));
        await followed.Task.WaitAsync(Grok1Process.DefaultTimeout);
        Assert.Equal(["b"], cluster.Plan.Bundles[0].Workers.AsEnumerable());
        Assert.True(cluster.Session.WorkerPool.Coverage.IsComplete);
        await cluster.GenerateAsync();
    }

    [Fact]
    public async Task A_worker_that_a_request_waits_for_is_given_its_share_again_also_where_the_plan_changed_meanwhile()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var (address, membership) = (cluster.Address("b"), cluster.Session.Cluster!.Membership);
        await cluster.UnderLoadAsync(async () =>
        {
            await cluster.StopWorkerAsync("b");
            await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady);
            // The requests under way have calls by the first plan, which wait for the worker.
            var before = membership.Plan!;
            Assert.True(await membership.TrySetPlanAsync(before.Plan with { Epoch = before.Plan.Epoch + 1 }, before, CancellationToken.None));
            await cluster.StartWorkerAsync("b", address);
            await cluster.UntilAsync(pool => pool.Plan.Epoch > before.Plan.Epoch && pool.Coverage.IsComplete);
        });
    }

    [Fact]
    public async Task A_coordinator_that_waits_for_workers_goes_on_with_one_that_was_started_again_elsewhere()
    {
        var first = await StartWorkerAsync("a");
        var waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _membership = new RegisteredMembership(new StaticMembership([Member(first, "a")]));
        var starting = ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Endless(), Threads = 1, LeastWorkers = 2, KvMemory = 16 << 20, OpenMembership = (_, _) => Task.FromResult<IMembership>(_membership),
        }, note =>
        {
            if (note.StartsWith("1 of 2 workers", StringComparison.Ordinal))
                waiting.TrySetResult();
        }, CancellationToken.None);
        await waiting.Task.WaitAsync(Grok1Process.DefaultTimeout);
        await using var again = await StartWorkerAsync("a");
        await first.DisposeAsync();
        await using var other = await StartWorkerAsync("b");
        _membership.Set(Member(again, "a"), Member(other, "b"));
        await using var session = await starting.WaitAsync(Grok1Process.DefaultTimeout);
        Assert.Equal(["a", "b"], session.Plan!.HoldingWorkers().AsEnumerable());
        Assert.All(session.Workers, worker => Assert.False(worker.IsLost));
    }

    [Fact]
    public async Task A_registered_worker_of_another_model_keeps_no_coordinator_from_starting()
    {
        await using var sound = await StartWorkerAsync("a");
        await using var other = await ExpertWorkerHost.StartAsync(
            new ExpertWorkerOptions { Id = "b", ModelPath = models.Golden("tiny-a"), HoldNothing = true, Threads = 1 }, _ => { }, CancellationToken.None);
        var notes = new List<string>();
        await using var session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = models.Endless(), Threads = 1, KvMemory = 16 << 20,
            OpenMembership = (_, _) => Task.FromResult<IMembership>(new RegisteredMembership(new StaticMembership([Member(other, "b"), Member(sound, "a")]))),
        }, note =>
        {
            lock (notes)
                notes.Add(note);
        }, CancellationToken.None);
        Assert.Equal(["a"], session.Plan!.HoldingWorkers().AsEnumerable());
        lock (notes)
            Assert.Contains(notes, note => note.StartsWith($"the worker at {other.Address} cannot be used: worker b", StringComparison.Ordinal) && note.Contains("import the same model on both", StringComparison.Ordinal));
    }

    private Task<ElasticCluster> StartAsync(params string[] ids) => ElasticCluster.StartAsync(models.Endless(), "whole", there => _membership = new RegisteredMembership(there), ids);

    private Task<ExpertWorkerHost> StartWorkerAsync(string id) =>
        ExpertWorkerHost.StartAsync(new ExpertWorkerOptions { Id = id, ModelPath = models.Endless(), HoldNothing = true, Threads = 1 }, _ => { }, CancellationToken.None);

    private static WorkerMember Member(ElasticCluster cluster, string id) => new(id, cluster.Address(id));

    private static WorkerMember Member(ExpertWorkerHost worker, string id) => new(id, worker.Address.ToString());

    /// <summary>Makes a change as soon as no other one is under way.</summary>
    private static async Task WhenFreeAsync(Func<Task> change)
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        while (true)
            try
            {
                await change();
                return;
            }
            catch (OperationException e) when (e.InnerException is MembershipException && !limit.IsCancellationRequested)
            {
                await Task.Yield();
            }
    }
}
