using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Engine.Tests.Batching;

public class StepClockTests
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    [Fact]
    public void Rows_fill_the_step_that_was_asked_for()
    {
        var clock = new StepClock();
        for (var i = 0; i < 50; i++)
        {
            clock.Learn(1, TimeSpan.FromMilliseconds(20));
            clock.Learn(200, TimeSpan.FromMilliseconds(20 + 200));
        }
        Assert.InRange(clock.RowsWithin(Step, decodeRows: 0, maxRows: 1024), 225, 235);
        Assert.InRange(clock.RowsWithin(Step, decodeRows: 30, maxRows: 1024), 195, 205);
    }

    [Fact]
    public void A_first_step_that_took_very_long_does_not_starve_prefill()
    {
        var clock = new StepClock();
        clock.Learn(8, TimeSpan.FromSeconds(5));
        var rows = clock.RowsWithin(Step, decodeRows: 0, maxRows: 1024);
        Assert.True(rows >= StepClock.LeastRows);
        for (var i = 0; i < 50; i++)
        {
            clock.Learn(1, TimeSpan.FromMilliseconds(1));
            clock.Learn(rows, TimeSpan.FromMilliseconds(rows));
            rows = clock.RowsWithin(Step, decodeRows: 0, maxRows: 1024);
        }
        Assert.InRange(rows, 200, 300);
    }

    [Fact]
    public void A_first_step_that_paid_for_the_start_is_forgotten_after_two_that_did_not()
    {
        var clock = new StepClock();
        foreach (var milliseconds in (int[])[1280, 128, 128])
            clock.Learn(128, TimeSpan.FromMilliseconds(milliseconds));
        Assert.InRange(clock.RowsWithin(TimeSpan.FromSeconds(1), decodeRows: 0, maxRows: 1024), 500, 1000);
    }

    [Theory]
    [InlineData(0, 1024)]
    [InlineData(1000, 1024)]
    [InlineData(1024, 1024)]
    [InlineData(0, 40)]
    public void The_largest_step_is_never_exceeded_but_one_row_always_fits(int decodeRows, int maxRows)
    {
        var rows = new StepClock().RowsWithin(Step, decodeRows, maxRows);
        Assert.InRange(rows, 1, Math.Max(1, maxRows - decodeRows));
    }
}
