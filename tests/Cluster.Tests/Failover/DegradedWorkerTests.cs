using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers.Health;
using Grok1Cluster.ExpertWorker;
using Grok1Cluster.ExpertWorker.Faults;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>Workers that each have the whole model, the first of which was told to do something wrong: every step has the same bits all the same.</summary>
[Collection(nameof(Alone))]
public sealed class DegradedWorkerTests(ModelFixture models) : IClassFixture<ModelFixture>, IAsyncLifetime
{
    /// <summary>Calls that the worker answers as it should, more than a first step has.</summary>
    private const int Sound = 60;

    private readonly string _plan = Path.GetTempFileName();
    private readonly List<ExpertWorkerHost> _workers = [];
    private readonly List<string> _events = [];
    private ClusterSession _session = null!;
    private float[]? _expected;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_session is not null)
            await _session.DisposeAsync();
        foreach (var worker in _workers)
            await worker.DisposeAsync();
        File.Delete(_plan);
    }

    [Theory]
    [InlineData("corrupt")]
    [InlineData("nan")]
    [InlineData("shape")]
    [InlineData("internal")]
    public async Task A_worker_whose_answers_are_wrong_is_set_aside(string fault)
    {
        await StartAsync(workers: 2, $"{fault},after={Sound}");
        StepUntil(() => Standing == WorkerStanding.SetAside);
        Assert.Equal(3, _session.WorkerPool!.Links[0].Outcomes.Wrong);
        Assert.Equal(0, _session.WorkerPool.Links[1].Outcomes.Wrong);
    }

    [Fact]
    public async Task A_worker_that_was_set_aside_is_taken_back_when_its_answers_are_sound_again()
    {
        await StartAsync(workers: 2, $"corrupt,after={Sound},times=3");
        StepUntil(() => Standing == WorkerStanding.SetAside);
        StepUntil(() => Standing == WorkerStanding.Healthy);
        Assert.Contains(_events, text => text.StartsWith("worker-0 SetAside: several answers were wrong, the last: worker worker-0 at 127.0.0.1:"));
    }

    [Fact]
    public async Task A_slow_worker_is_demoted_and_asked_again_when_it_is_quick()
    {
        await StartAsync(workers: 2, $"delay=30ms,after={4 * Sound}");
        StepUntil(() => Standing == WorkerStanding.Demoted);
        // The same process at the same address, so that nothing but its answers can tell that it is quick now.
        var address = _workers[0].Address.ToString();
        await _workers[0].DisposeAsync();
        _workers[0] = await StartWorkerAsync("worker-0", address, []);
        StepUntil(() => Standing == WorkerStanding.Healthy);
        var links = _session.WorkerPool!.Links;
        var (calls, hedged) = (links.Sum(link => link.Outcomes.Ok), links.Sum(link => link.Outcomes.Hedged));
        Assert.InRange(hedged, 0, 1 + calls / 50);
    }

    [Fact]
    public async Task A_worker_that_does_not_answer_is_given_up_and_demoted()
    {
        await StartAsync(workers: 2, $"drop,after={4 * Sound}");
        StepUntil(() => Standing == WorkerStanding.Demoted);
        Assert.True(_session.WorkerPool!.Links[0].Outcomes is { Overdue: > 0, Ok: > 0 });
        Assert.Equal(0, _session.WorkerPool.Links[1].Outcomes.Overdue);
    }

    [Fact]
    public async Task A_third_holder_is_asked_where_neither_the_first_nor_the_one_asked_beside_it_answers()
    {
        // Every bundle's first holder is the first worker, so it is not known how long the second takes.
        await StartAsync(workers: 3, $"drop,after={4 * Sound},worker=worker-0+drop,worker=worker-1", firsts: 1, compareEvery: 0);
        StepUntil(() => _session.WorkerPool!.Links[2].Outcomes.Ok > 0);
        Assert.True(_session.WorkerPool!.Links[1].Outcomes is { Ok: 0, Overdue: > 0 });
    }

    [Fact]
    public async Task A_worker_that_computes_something_else_than_two_others_is_not_asked_any_more()
    {
        await StartAsync(workers: 3, $"wrong,after={Sound},every=4");
        StepUntil(() => Standing == WorkerStanding.Distrusted, compare: false);
        Assert.Contains(_events, text => text.Contains("worker-0") && text.EndsWith("worker-0 is not asked any more until it is started again"));
        Assert.True(_session.WorkerPool!.Coverage.IsComplete);
        // From now on no answer of it is in any text.
        StepUntil(() => true);
    }

    [Fact]
    public async Task Of_two_workers_that_differ_the_coordinators_own_weights_say_which_is_wrong()
    {
        await StartAsync(workers: 2, $"wrong,after={Sound}");
        StepUntil(() => Standing == WorkerStanding.Distrusted, compare: false);
        Assert.Matches("this coordinator agrees with worker-1: worker-0 is not asked any more", _events[0]);
        StepUntil(() => true);
    }

    [Fact]
    public async Task Two_workers_that_differ_are_both_named_where_nobody_can_decide()
    {
        await StartAsync(workers: 2, $"wrong,after={Sound}", models.WithoutExperts("tiny-a"));
        StepUntil(() => _events.Count > 0, compare: false);
        Assert.Matches("^(worker-0 and worker-1|worker-1 and worker-0): nobody else has the same weights to decide who is right$", _events[0]);
        Assert.All(_session.WorkerPool!.Links, link => Assert.True(link.Outcomes is { Differed: > 0, Compared: > 0 }));
        Assert.All(_session.WorkerPool.Links, link => Assert.Equal(WorkerStanding.Healthy, link.Health.Standing));
    }

    [Fact]
    public async Task Sound_workers_are_compared_and_never_differ()
    {
        await StartAsync(workers: 3, $"nan,after={1_000_000}");
        StepUntil(() => _session.WorkerPool!.Links.All(link => link.Outcomes.Compared > 3));
        Assert.Empty(_events);
        Assert.All(_session.WorkerPool!.Links, link => Assert.Equal(0, link.Outcomes.Differed));
    }

    private WorkerStanding Standing => _session.WorkerPool!.Links[0].Health.Standing;

    /// <summary>Steps until something is so; each has the bits of the first.</summary>
    /// <param name="compare">False where a wrong number is used before it is found, as the documentation says.</param>
    private void StepUntil(Func<bool> reached, bool compare = true)
    {
        using var limit = new CancellationTokenSource(Grok1Process.DefaultTimeout);
        do
        {
            var logits = OneStep.Logits(_session);
            _expected ??= logits;
            if (compare)
                Assert.Equal(_expected, logits);
            limit.Token.ThrowIfCancellationRequested();
        }
        while (!reached());
    }

    private Task<ExpertWorkerHost> StartWorkerAsync(string id, string listen, FaultRule[] faults) => ExpertWorkerHost.StartAsync(
        new ExpertWorkerOptions { Id = id, ModelPath = models.Golden("tiny-a"), Listen = listen, Threads = 1, Faults = faults }, _ => { }, CancellationToken.None);

    /// <summary>Every bundle on every worker, and a comparison wherever one is possible.</summary>
    /// <param name="fault">Of the first worker, where it names none.</param>
    /// <param name="firsts">Workers that are some bundle's first holder; null: all.</param>
    private async Task StartAsync(int workers, string fault, string? coordinatorModel = null, int? firsts = null, int compareEvery = 1)
    {
        var model = models.Golden("tiny-a");
        Assert.True(FaultText.TryParse(fault, out var rules));
        foreach (var id in WorkerIds.Numbered(workers))
            _workers.Add(await StartWorkerAsync(id, "127.0.0.1:0", fault.Contains("worker=", StringComparison.Ordinal) || id == "worker-0" ? rules : []));
        var plan = Planner.Whole(FailoverCluster.Geometry(model), WorkerIds.Numbered(firsts ?? workers));
        PlanFile.Save(_plan, FailoverCluster.Replicated(plan, workers, workers));
        _session = await ClusterSession.StartAsync(new ClusterSessionOptions
        {
            StorePath = coordinatorModel ?? model, WorkerAddresses = [.. _workers.Select(worker => worker.Address.ToString())], Threads = 1, PipelineDepth = 1, Plan = PlanRequest.Parse(_plan), CompareEvery = compareEvery,
        }, _ => { }, CancellationToken.None);
        _session.WorkerPool!.StandingChanged += (link, reason) => _events.Add($"{link.Id} {link.Health.Standing}: {reason}");
        _session.WorkerPool.Differed += (first, second, verdict) => _events.Add($"{first.Id} and {second.Id}: {verdict}");
        StepUntil(() => true);
    }
}
