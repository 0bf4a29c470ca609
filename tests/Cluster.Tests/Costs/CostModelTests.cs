using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using static Grok1Cluster.Cluster.Tests.Costs.Examples;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Costs;

public sealed class CostModelTests
{
    [Fact]
    public void A_sliced_step_is_the_sum_computed_by_hand()
    {
        var step = Predict(Planner.Sliced(Small, Workers(2)), StepLoad.Decode(sequences: 1, contextTokens: 500));
        Assert.Equal((3000 + 500 * 2) / 1000.0, step.CoordinatorSeconds, 9);
        Assert.Equal(0.5, step.RoundTripSeconds, 9);
        Assert.Equal(2 * 10 * 1 / 100.0, step.OutSeconds, 9);
        Assert.Equal(2 * 10 * 2 / 100.0, step.BackSeconds, 9);
        // Two experts, half of each on each worker.
        Assert.Equal(1, step.ExpertSeconds, 9);
        Assert.Equal(4 + 0.5 + 0.2 + 0.4 + 1, step.StepSeconds, 9);
        Assert.Equal(1 / 6.1, step.TokensPerSecond, 9);
        Assert.Equal((2, 2), (step.TouchedExperts, step.FanOut));
    }

    [Fact]
    public void A_lone_token_waits_for_a_whole_expert_or_for_two_where_one_worker_has_both()
    {
        // Workers hold experts {0, 2} and {1, 3}: 2 of the 6 pairs are on one worker, which 5 of 6 tokens need.
        var step = Predict(Planner.Whole(Small, Workers(2)), StepLoad.Decode(1, 0));
        Assert.Equal((2 * 2 + 4 * 1) / 6.0, step.ExpertSeconds, 9);
        Assert.Equal(2 * 5 / 6.0, step.FanOut, 9);
        Assert.Equal(2 * 5 / 6.0 * 10 / 100, step.OutSeconds, 9);
    }

    [Theory]
    [InlineData(2, 1.40)]
    [InlineData(4, 1.75)]
    [InlineData(8, 2.0)]
    public void Whole_experts_of_grok_1_speed_a_lone_token_up_by_the_published_factors(int workers, double speedUp)
    {
        double Experts(int count) => Grok1Step(Planner.Whole(Grok1, Workers(count)), count, sequences: 1).ExpertSeconds;
        Assert.Equal(speedUp, Experts(1) / Experts(workers), 2);
    }

    [Theory]
    [InlineData("sliced", 258e-6)]
    [InlineData("whole", 139e-6)]
    public void A_layer_of_grok_1_over_10_gigabit_takes_the_published_time_on_the_wire(string kind, double seconds)
    {
        var plan = kind == "whole" ? Planner.Whole(Grok1, Workers(8)) : Planner.Sliced(Grok1, Workers(8));
        Assert.Equal(seconds, Grok1Step(plan, 8, sequences: 1).WireSecondsPerLayer, 1e-6);
    }

    [Fact]
    public void Reading_weights_and_computing_with_them_add_up()
    {
        var machine = SmallMachine with { OpsPerSecond = 6000 };
        var fleet = Fleet.Even(machine, machine, Workers(2));
        var plan = Planner.Sliced(Small, Workers(2));
        // One token: 2 experts of 50 columns each, read in 0.01 s a column and computed in as much.
        Assert.Equal(1 + 1, CostModel.Predict(plan, Small, SmallCosts, fleet, StepLoad.Decode(1, 0)).ExpertSeconds, 9);
        // 100 tokens: 4 experts of 50 columns, read once; 50 tokens each: 4 * 50 * 50 * 60 operations.
        var prefill = CostModel.Predict(plan, Small, SmallCosts, fleet, StepLoad.Prefill(100));
        Assert.Equal(4 * 50 * 0.01 + 4 * 50 * 50 * 60 / 6000.0, prefill.ExpertSeconds, 6);
        Assert.Equal((3000 + 50 * 2) / 1000.0 + (100 * (100 + 50 * 5) + 300) / 6000.0, prefill.CoordinatorSeconds, 9);
    }

    [Fact]
    public void The_slowest_worker_and_the_slowest_link_decide()
    {
        var plan = Planner.Sliced(Small, Workers(2));
        var fleet = Fleet.Even(SmallMachine, SmallMachine, Workers(2));
        var slow = SmallMachine with { ReadBytesPerSecond = 250, LinkBytesPerSecond = 10, RoundTripSeconds = 2 };
        var step = CostModel.Predict(plan, Small, SmallCosts, fleet with { Workers = fleet.Workers.SetItem("worker-1", slow) }, StepLoad.Decode(1, 0));
        Assert.Equal(4, step.ExpertSeconds, 9);
        Assert.Equal(2, step.RoundTripSeconds, 9);
        Assert.Equal(1, step.OutSeconds, 9);
    }

    [Fact]
    public void Processes_on_one_machine_have_their_part_of_it()
    {
        var part = new MachineCosts { ReadBytesPerSecond = 20e9, OpsPerSecond = 8e11, MemoryBytes = 16 }.Shared(4);
        Assert.Equal((5e9, 2e11, 4L), (part.ReadBytesPerSecond, part.OpsPerSecond, part.MemoryBytes!.Value));
    }

    [Fact]
    public void A_machine_without_speed_and_a_worker_without_machine_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new MachineCosts { ReadBytesPerSecond = 0 });
        Assert.Throws<ArgumentOutOfRangeException>(() => new MachineCosts { RoundTripSeconds = double.NaN });
        var e = Assert.Throws<ArgumentException>(() => CostModel.Predict(
            Planner.Sliced(Small, Workers(3)), Small, SmallCosts, Fleet.Assumed(Workers(2)), StepLoad.Decode(1, 0)));
        Assert.StartsWith("worker worker-2 is not in the fleet", e.Message);
    }

    private static StepPrediction Predict(Plan plan, StepLoad load) =>
        CostModel.Predict(plan, Small, SmallCosts, Fleet.Even(SmallMachine, SmallMachine, Workers(2)), load);

    private static StepPrediction Grok1Step(Plan plan, int workers, int sequences) =>
        CostModel.Predict(plan, Grok1, Grok1Int8, Fleet.Assumed(Workers(workers)), StepLoad.Decode(sequences, 0));
}
