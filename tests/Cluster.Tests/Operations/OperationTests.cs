using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Operations;

namespace Grok1Cluster.Cluster.Tests.Operations;

public class OperationTests(ModelFixture models) : IClassFixture<ModelFixture>
{
    private readonly List<OperationProgress> _steps = [];

    [Fact]
    public async Task A_bundle_moves_while_it_serves_and_no_token_changes()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b", "c");
        var (before, held) = (cluster.Plan, cluster.Worker("a").Bytes);
        await cluster.UnderLoadAsync(() => cluster.Operations.MoveAsync(layer: 0, bundle: 0, "a", "c", _steps.Add));
        Assert.Equal(before.Epoch + 1, cluster.Plan.Epoch);
        Assert.Equal(["c"], cluster.Plan.Bundles[0].Workers.AsEnumerable());
        Assert.True(cluster.Worker("a").Bytes < held, "the old holder let go");
        Assert.Equal([OperationPhase.Holding, OperationPhase.Switching, OperationPhase.Releasing, OperationPhase.Done], _steps.Select(step => step.Phase).Distinct());
        Assert.Equal(held - cluster.Worker("a").Bytes, _steps[^1].TotalBytes);
    }

    [Theory]
    [InlineData("whole")]
    [InlineData("sliced")]
    public async Task A_drained_worker_is_told_to_leave_and_what_it_held_is_served_by_the_others(string plan)
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), plan, "a", "b", "c");
        await cluster.UnderLoadAsync(() => cluster.Operations.DrainAsync("b", _steps.Add));
        Assert.Equal(["a", "c"], cluster.Plan.HoldingWorkers().AsEnumerable());
        Assert.Equal(["a", "c"], cluster.Session.WorkerPool!.Links.Select(link => link.Id));
        Assert.True(cluster.Worker("b").LeaveRequested.IsCompleted);
        Assert.Equal(0, cluster.Worker("b").Bytes);
        Assert.True(cluster.Session.WorkerPool.Coverage.IsComplete);
    }

    [Fact]
    public async Task A_worker_that_joins_with_nothing_gets_its_part()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        await cluster.StartWorkerAsync("c");
        await cluster.Operations.JoinAsync(cluster.Address("c"), _steps.Add);
        Assert.Equal(["a", "b", "c"], cluster.Plan.HoldingWorkers().AsEnumerable());
        Assert.Equal(cluster.Session.Plan!.Bundles.Sum(cluster.Plan.Columns), 3 * Columns(cluster, "c"), tolerance: 3 * 256 * 2);
        await cluster.GenerateAsync();
        Assert.True(cluster.Session.WorkerPool!.Find("c")!.Connection.Description.Bytes > 0);
    }

    [Fact]
    public async Task A_worker_that_comes_back_with_nothing_is_given_its_share_again_and_streams_go_on()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var (address, held) = (cluster.Address("b"), cluster.Worker("b").Bytes);
        await cluster.UnderLoadAsync(async () =>
        {
            await cluster.StopWorkerAsync("b");
            await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady);
            await cluster.StartWorkerAsync("b", address);
            await cluster.UntilAsync(pool => pool.Coverage.IsComplete);
        });
        Assert.Equal(held, cluster.Worker("b").Bytes);
    }

    [Fact]
    public async Task A_cold_replica_is_brought_into_memory_when_the_only_holder_is_lost()
    {
        var plan = Path.GetTempFileName();
        try
        {
            var whole = Planner.Whole(Failover.FailoverCluster.Geometry(models.Endless()), ["a", "b"]);
            PlanFile.Save(plan, whole with { Bundles = [.. whole.Bundles.Select(bundle => bundle.Workers.Contains("b") ? bundle with { Cold = ["a"] } : bundle)] });
            await using var cluster = await ElasticCluster.StartAsync(models.Endless(), plan, "a", "b");
            var alone = cluster.Worker("a").Bytes;
            await cluster.UnderLoadAsync(async () =>
            {
                await cluster.StopWorkerAsync("b");
                await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady && pool.Coverage.IsComplete);
            });
            Assert.True(cluster.Worker("a").Bytes > alone);
        }
        finally
        {
            File.Delete(plan);
        }
    }

    [Fact]
    public async Task A_plan_that_cuts_elsewhere_is_taken_over()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var sliced = Planner.Sliced(Failover.FailoverCluster.Geometry(models.Endless()), ["a", "b"]);
        await cluster.Operations.ApplyAsync(sliced, _steps.Add);
        Assert.Equal(sliced.Cuts.AsEnumerable(), cluster.Plan.Cuts.AsEnumerable());
        Assert.Equal(cluster.Worker("a").Bytes, cluster.Worker("b").Bytes);
        await cluster.GenerateAsync();
    }

    [Fact]
    public async Task A_change_that_cannot_be_made_says_why_and_leaves_everything_as_it_was()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var (plan, a, b) = (cluster.Plan, cluster.Worker("a").Bytes, cluster.Worker("b").Bytes);
        var stranger = plan with { Bundles = [.. plan.Bundles.Select((bundle, index) => index == 0 ? bundle with { Workers = ["nobody"] } : bundle with { Workers = ["a"] })] };
        await cluster.UnderLoadAsync(async () =>
        {
            Assert.Contains("nobody is not connected", await RefusalAsync(() => cluster.Operations.ApplyAsync(stranger, _steps.Add)));
            Assert.Contains("there is no worker c; there are a, b", await RefusalAsync(() => cluster.Operations.DrainAsync("c", _steps.Add)));
            Assert.Contains("there is no layer 99", await RefusalAsync(() => cluster.Operations.MoveAsync(99, 0, "a", "b", _steps.Add)));
            Assert.Contains("cannot join", await RefusalAsync(() => cluster.Operations.JoinAsync("127.0.0.1:1", _steps.Add)));
            await cluster.StopWorkerAsync("b");
            await cluster.UntilAsync(pool => !pool.Find("b")!.IsReady);
            Assert.Contains("b is not connected", await RefusalAsync(() => cluster.Operations.MoveAsync(0, 0, "a", "b", _steps.Add)));
            await cluster.StartWorkerAsync("b", cluster.Address("b"));
        });
        Assert.Equal((plan, a), (cluster.Plan, cluster.Worker("a").Bytes));
        await cluster.UntilAsync(pool => pool.Coverage.IsComplete);
        Assert.Equal(b, cluster.Worker("b").Bytes);
    }

    [Fact]
    public async Task A_text_that_is_no_plan_of_the_model_is_refused_before_anything_is_changed()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a");
        Assert.Equal("the plan is malformed: the whole lacks epoch, model, cuts, bundles", Assert.Throws<PlanException>(() => cluster.Operations.Read("{}"u8)).Message);
        Assert.Contains("does not fit model", Assert.Throws<PlanException>(() => cluster.Operations.Read("""{"epoch":1,"model":"m","cuts":[0,5],"bundles":[]}"""u8)).Message);
    }

    [Fact]
    public async Task The_last_worker_cannot_be_drained()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a");
        Assert.Contains("there is no other worker", await RefusalAsync(() => cluster.Operations.DrainAsync("a", _steps.Add)));
    }

    [Fact]
    public async Task A_second_drain_is_refused_and_the_first_is_still_told_as_one()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        var worker = cluster.Session.WorkerPool!.Find("b")!.Connection;
        Task? second = null;
        string? state = null;
        await cluster.Operations.DrainAsync("b", step =>
        {
            second ??= cluster.Operations.DrainAsync("b", _ => { });
            if (step.Phase == OperationPhase.Releasing)
                state = worker.State;
        });
        Assert.Contains("drain b is under way", await RefusalAsync(() => second!));
        Assert.Equal("draining", state);
    }

    [Fact]
    public async Task A_worker_that_several_ask_to_join_at_the_same_time_is_taken_in_once()
    {
        await using var cluster = await ElasticCluster.StartAsync(models.Endless(), "whole", "a", "b");
        await cluster.StartWorkerAsync("c");
        var joins = Enumerable.Range(0, 4).Select(_ => cluster.Operations.JoinAsync(cluster.Address("c"), _ => { })).ToArray();
        await Task.WhenAll(joins.Select(async join => await Record.ExceptionAsync(() => join)));
        Assert.All(joins, join => Assert.True(join.IsCompletedSuccessfully || join.Exception!.InnerException is OperationException, $"{join.Exception}"));
        Assert.Contains(joins, join => join.IsCompletedSuccessfully);
        Assert.Equal(["a", "b", "c"], cluster.Session.WorkerPool!.Links.Select(link => link.Id).Order());
        await cluster.GenerateAsync();
    }

    private static long Columns(ElasticCluster cluster, string worker) => cluster.Plan.Bundles.Where(bundle => bundle.Workers.Contains(worker)).Sum(cluster.Plan.Columns);

    private static async Task<string> RefusalAsync(Func<Task> change) => (await Assert.ThrowsAsync<OperationException>(change)).Message;
}
