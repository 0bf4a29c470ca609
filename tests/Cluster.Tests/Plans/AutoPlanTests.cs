using System.Collections.Immutable;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Costs;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class AutoPlanTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void For_one_to_four_sequences_every_expert_is_cut_over_all_workers(int sequences)
    {
        foreach (var workers in new[] { 2, 4, 8, 16 })
        {
            var choice = Auto(workers, sequences);
            Assert.Equal(workers, choice.Cut);
            Assert.Equal(PlanJson.Serialize(Planner.Sliced(Grok1, Workers(workers))), PlanJson.Serialize(choice.Plan));
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(32)]
    public void From_eight_sequences_on_eight_workers_hold_whole_experts(int sequences)
    {
        var choice = Auto(8, sequences);
        Assert.Equal(1, choice.Cut);
        Assert.Equal(PlanJson.Serialize(Planner.Whole(Grok1, Workers(8))), PlanJson.Serialize(choice.Plan));
    }

    [Theory]
    [InlineData(16, 2)]
    [InlineData(32, 4)]
    public void More_workers_than_experts_get_the_smallest_cut_that_keeps_all_of_them_busy(int workers, int cut)
    {
        var choice = Auto(workers, sequences: 8);
        Assert.Equal(cut, choice.Cut);
        Assert.All(choice.Plan.Bundles.GroupBy(bundle => bundle.Layer), layer => Assert.Equal(workers, layer.Count()));
    }

    [Fact]
    public void No_cut_is_predicted_to_be_faster_than_the_one_that_is_chosen()
    {
        foreach (var sequences in new[] { 1, 8, 64 })
        {
            var choice = Auto(12, sequences);
            Assert.All(new[] { 1, 2, 3, 4, 6, 8, 12 }, cut =>
            {
                var plan = Planner.Mixed(Grok1, Workers(12).Select(id => new WorkerCapacity(id, 1, null)).ToList(), 1, cut);
                var other = CostModel.Predict(plan, Grok1, Examples.Grok1Int8, Fleet.Assumed(Workers(12)), choice.Prediction.Load);
                Assert.True(choice.Prediction.StepSeconds <= other.StepSeconds, $"{sequences} sequences: cut {cut} beats {choice.Cut}");
            });
        }
    }

    [Fact]
    public void Uneven_workers_finish_a_lone_token_together_within_a_block()
    {
        double[] gigabytes = [200, 100, 100, 50];
        var fleet = new Fleet(new MachineCosts(), Workers(4).Zip(gigabytes).ToImmutableDictionary(pair => pair.First, pair => new MachineCosts { ReadBytesPerSecond = pair.Second * 1e9, OpsPerSecond = 1e18 }));
        var choice = Planner.Auto(Grok1, Workers(4), new AutoInputs(Examples.Grok1Int8, fleet));
        var ideal = 2 * 64 * 32768 * 18432.0 / 450e9;
        var block = 2 * 64 * 256 * 18432.0 / 50e9;
        Assert.Equal(4, choice.Cut);
        Assert.InRange(choice.Prediction.ExpertSeconds, ideal, ideal + block);
    }

    [Fact]
    public void Memory_limits_hold_for_every_kind_of_plan()
    {
        var small = new MachineCosts { MemoryBytes = 40_000_000_000 };
        var inputs = new AutoInputs(Examples.Grok1Int8, Fleet.Even(new MachineCosts(), small, Workers(8)));
        foreach (var kind in new[] { "auto", "whole", "sliced" })
            Assert.Equal(8, Planner.Create(PlanRequest.Parse(kind), Grok1, Workers(8), inputs).HoldingWorkers().Length);

        var tight = inputs with { Fleet = Fleet.Even(new MachineCosts(), small with { MemoryBytes = 38_000_000_000 }, Workers(8)) };
        foreach (var kind in new[] { "auto", "whole", "sliced" })
            Assert.Contains("309237645312 bytes", Assert.Throws<PlanException>(() => Planner.Create(PlanRequest.Parse(kind), Grok1, Workers(8), tight)).Message);
    }

    [Fact]
    public void Auto_without_workers_is_refused() =>
        Assert.Throws<ArgumentException>(() => Planner.Auto(Grok1, [], new AutoInputs(Examples.Grok1Int8, Fleet.Assumed([]))));

    private static AutoChoice Auto(int workers, int sequences) =>
        Planner.Auto(Grok1, Workers(workers), new AutoInputs(Examples.Grok1Int8, Fleet.Assumed(Workers(workers)), sequences));
}
