using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Workers.Health;

namespace Grok1Cluster.Cluster.Tests.Failover;

/// <summary>What a coordinator thinks of a worker, by a clock that the test moves.</summary>
public sealed class WorkerHealthTests
{
    private static readonly TimeSpan Call = TimeSpan.FromMilliseconds(2);

    private readonly ManualTime _time = new();
    private readonly WorkerHealth _health;

    public WorkerHealthTests() => _health = new WorkerHealth(_time);

    [Fact]
    public void Three_wrong_answers_within_a_while_set_a_worker_aside_and_a_sound_probe_after_the_pause_takes_it_back()
    {
        Assert.False(_health.Failed());
        Assert.False(_health.Failed());
        Assert.True(_health.Failed());
        Assert.Equal(WorkerStanding.SetAside, _health.Standing);
        // Sound answers that come before the pause is over prove nothing.
        Assert.False(_health.Answered(1, Call));
        Assert.False(_health.IsProbeDue);
        _time.Advance(TimeSpan.FromSeconds(2.5));
        Assert.True(_health.IsProbeDue);
        Assert.True(_health.Probed(quick: true));
        Assert.Equal(WorkerStanding.Healthy, _health.Standing);
    }

    [Fact]
    public void Wrong_answers_that_are_far_apart_do_not_set_a_worker_aside()
    {
        for (var fault = 0; fault < 10; fault++)
        {
            Assert.False(_health.Failed());
            _time.Advance(TimeSpan.FromSeconds(6));
        }
        Assert.Equal(WorkerStanding.Healthy, _health.Standing);
    }

    [Fact]
    public void A_wrong_probe_makes_the_pause_longer()
    {
        for (var fault = 0; fault < 3; fault++)
            _health.Failed();
        _time.Advance(TimeSpan.FromSeconds(2.5));
        Assert.False(_health.Failed());
        _time.Advance(TimeSpan.FromSeconds(2.5));
        Assert.False(_health.IsProbeDue);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.True(_health.IsProbeDue);
        Assert.Equal(WorkerStanding.SetAside, _health.Standing);
    }

    [Fact]
    public void A_worker_is_demoted_when_it_was_slow_for_a_second_and_promoted_after_three_quick_probes()
    {
        Assert.False(_health.Compare(slow: true));
        _time.Advance(TimeSpan.FromSeconds(0.9));
        Assert.False(_health.Compare(slow: true));
        Assert.False(_health.Compare(slow: false));
        Assert.False(_health.Compare(slow: true));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_health.Compare(slow: true));
        Assert.Equal(WorkerStanding.Demoted, _health.Standing);
        bool[] quick = [true, true, false, true, true, true];
        foreach (var answer in quick)
        {
            Assert.Equal(WorkerStanding.Demoted, _health.Standing);
            _time.Advance(TimeSpan.FromSeconds(1));
            Assert.True(_health.IsProbeDue);
            _health.Probed(answer);
        }
        Assert.Equal(WorkerStanding.Healthy, _health.Standing);
    }

    [Fact]
    public void A_worker_that_was_started_again_is_trusted_again()
    {
        Assert.True(_health.Distrust());
        Assert.Equal(WorkerStanding.Distrusted, _health.Standing);
        _health.Renew();
        Assert.Equal(WorkerStanding.Healthy, _health.Standing);
    }

    [Fact]
    public void A_call_is_late_after_three_times_the_usual_and_overdue_long_after_by_a_line_over_its_tokens()
    {
        var times = new CallTimes();
        Assert.Null(times.LateAfter(1));
        for (var call = 0; call < 200; call++)
            times.Add(1 + call % 8, TimeSpan.FromMilliseconds(10 + 5 * (1 + call % 8)));
        Assert.InRange(times.LateAfter(1)!.Value.TotalMilliseconds, 45, 45 * 1.2);
        Assert.InRange(times.LateAfter(100)!.Value.TotalMilliseconds, 1530, 1530 * 1.2);
        Assert.InRange(times.OverdueAfter(100).TotalMilliseconds, 5099, 5101);
        Assert.Equal(1000, times.OverdueAfter(1).TotalMilliseconds);
    }

    [Fact]
    public void Calls_that_vary_much_are_late_only_beyond_the_slowest_hundredth()
    {
        var times = new CallTimes();
        for (var call = 0; call < 2000; call++)
            times.Add(1, TimeSpan.FromMilliseconds(call % 20 == 0 ? 100 : 10));
        // The line is at 14.5 ms; one call in twenty takes 7 times as long.
        Assert.InRange(times.LateAfter(1)!.Value.TotalMilliseconds, 95, 150);
    }

    [Fact]
    public void Hedges_are_two_percent_of_all_calls_and_a_few_at_once()
    {
        var budget = new HedgeBudget();
        Assert.True(budget.TryTake());
        Assert.False(budget.TryTake());
        var hedges = 0;
        for (var call = 0; call < 10_000; call++)
        {
            budget.Earn(1);
            hedges += budget.TryTake() ? 1 : 0;
        }
        Assert.InRange(hedges, 199, 200);
        budget.Earn(1_000_000);
        for (var hedge = 0; hedge < 8; hedge++)
            Assert.True(budget.TryTake());
        Assert.False(budget.TryTake());
    }
}
