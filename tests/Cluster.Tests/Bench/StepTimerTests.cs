using Grok1Cluster.Coordinator.Bench;

namespace Grok1Cluster.Cluster.Tests.Bench;

/// <summary>What a benchmark sees of the engine's steps: two layers, four experts, one expert a row.</summary>
public class StepTimerTests
{
    private readonly StepTimer _timer = new(layers: 2, experts: 4, expertsPerToken: 1);

    [Fact]
    public void Only_steps_of_all_sequences_after_the_settling_ones_are_timed()
    {
        var begun = 0;
        var enough = _timer.Watch(rows: 2, steps: 3, () => begun++);
        Step([0], [0]);
        for (var i = 0; i < StepTimer.SettlingSteps - 1; i++)
            Step([0, 0], [0, 0]);
        // A sequence is prefilled in between: what was seen before does not count.
        Step([0, 0, 1, 1], [0, 0, 0, 0]);
        for (var i = 0; i < StepTimer.SettlingSteps; i++)
            Step([0, 0], [0, 0]);
        Assert.Equal(0, begun);
        Step([0, 1], [2, 2]);
        Step([0, 1], [2, 3]);
        Step([3, 3], [2, 2]);
        Assert.Equal(1, begun);
        Assert.False(enough.IsCompleted);
        // The next step's beginning is the last one's end.
        Step([0, 0], [0, 0]);
        Assert.True(enough.IsCompleted);
        var result = _timer.Result();
        Assert.Equal((3 + 4 + 2) / 3.0, result.TouchedPerStep, 12);
        Assert.Equal(3, result.StepMilliseconds.Length);
        // Steps of this test take microseconds, and each is rounded to a tenth of one.
        Assert.InRange(result.RowsPerSecond * result.StepMilliseconds.Sum() / 1e3 / (2 * 3), 0.8, 1.25);
    }

    [Fact]
    public void A_step_that_comes_in_parts_is_one_step()
    {
        var enough = _timer.Watch(rows: 2, steps: 1, began: null);
        for (var i = 0; i < StepTimer.SettlingSteps + 1; i++)
        {
            _timer.Routed(0, new[] { 0 });
            _timer.Routed(0, new[] { 0 });
            _timer.Routed(1, new[] { 1 });
            _timer.Routed(1, new[] { 2 });
        }
        Assert.False(enough.IsCompleted);
        _timer.Routed(0, new[] { 0 });
        Assert.True(enough.IsCompleted);
        Assert.Equal(3, _timer.Result().TouchedPerStep);
    }

    [Fact]
    public void Experts_that_ever_had_a_row_are_counted_once_for_each_layer()
    {
        _ = _timer.Watch(rows: 0, steps: 0, began: null);
        Step([0, 1], [1, 1]);
        Step([1, 2], [1, 1]);
        Assert.Equal(4, _timer.TouchedEver);
    }

    private void Step(int[] first, int[] second)
    {
        _timer.Routed(0, first);
        _timer.Routed(1, second);
    }
}
