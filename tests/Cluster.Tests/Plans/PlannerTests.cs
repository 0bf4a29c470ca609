using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Tests.Costs;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class PlannerTests
{
    public static TheoryData<int> WorkerCounts => [.. Enumerable.Range(1, 17), 40];

    [Theory, MemberData(nameof(WorkerCounts))]
    public void Every_tile_is_placed_exactly_once_in_both_kinds_of_plan(int count)
    {
        foreach (var geometry in new[] { TinyA, NarrowLastBlock, Grok1 })
            foreach (var plan in new[] { Planner.Whole(geometry, Workers(count)), Planner.Sliced(geometry, Workers(count)) })
            {
                var tiles = plan.Bundles.SelectMany(bundle => bundle.Tiles).ToList();
                Assert.Equal(PlanCoverage.AllTiles(geometry, plan.SliceCount), tiles.Order());
                Assert.All(plan.Bundles, bundle => Assert.Equal(bundle.Tiles.Order(), bundle.Tiles));
                Assert.All(plan.Bundles, bundle => Assert.All(bundle.Tiles, tile => Assert.Equal(bundle.Layer, tile.Layer)));
            }
    }

    [Theory, MemberData(nameof(WorkerCounts))]
    public void Whole_experts_are_balanced_to_within_one_expert_for_any_number_of_workers(int count)
    {
        var plan = Planner.Whole(Grok1, Workers(count));
        var held = Workers(count).Select(worker => WorkerShare.Of(plan, Grok1, worker).Tiles.Length).ToList();
        Assert.InRange(held.Max() - held.Min(), 0, 1);
    }

    [Theory, MemberData(nameof(WorkerCounts))]
    public void A_layer_has_one_bundle_for_each_worker_that_takes_part(int count)
    {
        foreach (var plan in new[] { Planner.Whole(TinyA, Workers(count)), Planner.Sliced(TinyA, Workers(count)) })
            foreach (var layer in plan.Bundles.GroupBy(bundle => bundle.Layer))
                Assert.Equal(layer.Count(), layer.Select(bundle => Assert.Single(bundle.Workers)).Distinct().Count());
    }

    [Theory, MemberData(nameof(WorkerCounts))]
    public void Slices_are_cut_on_block_edges_and_equal_to_within_one_block(int count)
    {
        foreach (var geometry in new[] { TinyA, Grok1, NarrowLastBlock })
        {
            var cuts = Planner.Sliced(geometry, Workers(count)).Cuts;
            Assert.Equal(Math.Min(count, geometry.BlockCount), cuts.Length - 1);
            Assert.Equal((0, geometry.FeedForwardDim), (cuts[0], cuts[^1]));
            Assert.All(cuts, cut => Assert.True(geometry.IsEdge(cut), $"{cut} is no edge"));
            var blocks = cuts.Zip(cuts.Skip(1), (from, to) => geometry.BlockAt(to) - geometry.BlockAt(from)).ToList();
            Assert.InRange(blocks.Max() - blocks.Min(), 0, 1);
        }
    }

    [Fact]
    public void Workers_beyond_the_number_of_pieces_hold_nothing()
    {
        var plan = Planner.Sliced(NarrowLastBlock, Workers(5));
        Assert.Equal(["worker-0", "worker-1", "worker-2"], plan.HoldingWorkers().ToArray());
        Assert.True(WorkerShare.Of(plan, NarrowLastBlock, "worker-4").IsEmpty);

        var whole = Planner.Whole(NarrowLastBlock, Workers(7));
        Assert.Equal(6, whole.HoldingWorkers().Length);
        Assert.True(WorkerShare.Of(whole, NarrowLastBlock, "worker-6").IsEmpty);
    }

    [Fact]
    public void Whole_experts_go_round_robin_over_the_running_piece_number()
    {
        var plan = Planner.Whole(NarrowLastBlock, Workers(2));
        Assert.Equal(
            ["0: 0,2 worker-0", "0: 1 worker-1", "1: 0,2 worker-1", "1: 1 worker-0"],
            plan.Bundles.Select(bundle => $"{bundle.Layer}: {string.Join(",", bundle.Tiles.Select(tile => tile.Expert))} {bundle.Workers[0]}"));
    }

    [Fact]
    public void On_one_machine_auto_cuts_every_expert_of_a_small_model_over_all_workers() =>
        Assert.Equal(
            PlanJson.Serialize(Planner.Sliced(TinyA, Workers(3))),
            PlanJson.Serialize(Planner.Create(PlanRequest.Parse("auto"), TinyA, Workers(3), new AutoInputs(Examples.SmallCosts, Fleet.AssumedLocal(Workers(3))))));

    [Fact]
    public void A_plan_without_workers_or_with_one_twice_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Planner.Whole(TinyA, []));
        Assert.Throws<ArgumentException>(() => Planner.Sliced(TinyA, ["a", "a"]));
    }

    [Fact]
    public void A_geometry_that_no_model_has_is_refused_with_every_wrong_size_named()
    {
        var e = Assert.Throws<PlanException>(() => new PlanGeometry("bad", 0, -3, 128, 16));
        Assert.Equal(["LayerCount is 0, not positive", "ExpertCount is -3, not positive"], e.Problems.ToArray());
        Assert.Throws<PlanException>(() => new PlanGeometry("huge", int.MaxValue, int.MaxValue, int.MaxValue, 1));
    }
}
