using Grok1Cluster.Cluster.Plans;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class PlanCoverageTests
{
    private static readonly Plan Plan = Planner.Sliced(TinyA, Workers(3));

    [Fact]
    public void Workers_that_hold_their_shares_cover_the_plan()
    {
        var coverage = PlanCoverage.Of(Plan, Held());
        Assert.True(coverage.IsComplete);
        Assert.Equal("every tile is held", coverage.Describe());
    }

    [Fact]
    public void A_single_missing_tile_is_named()
    {
        var held = Held();
        held["worker-2"] = held["worker-2"].Except([new TileId(3, 1, 2)]).ToHashSet();
        Assert.Equal("1 tile is missing: layer 3 expert 1 slice 2", PlanCoverage.Of(Plan, held).Describe());
    }

    [Fact]
    public void A_missing_worker_is_named_in_one_range()
    {
        var held = Held();
        held.Remove("worker-1");
        Assert.Equal("48 tiles are missing: layers 0-11 experts 0-3 slice 1", PlanCoverage.Of(Plan, held).Describe());
    }

    [Fact]
    public void Two_replicas_that_each_lack_a_part_serve_nothing_between_them()
    {
        TileId first = new(0, 0, 0), second = new(0, 1, 0), third = new(0, 2, 0);
        var plan = new Plan(1, "m", [0, 64], [new Bundle(0, [first, second, third], ["a", "b"])]);
        var held = new Dictionary<string, IReadOnlySet<TileId>> { ["a"] = new HashSet<TileId> { first }, ["b"] = new HashSet<TileId> { second, third } };
        Assert.Equal([first], PlanCoverage.Of(plan, held).Missing.ToArray());

        held["b"] = new HashSet<TileId> { first, second, third };
        Assert.True(PlanCoverage.Of(plan, held).IsComplete);
    }

    [Fact]
    public void Scattered_tiles_are_named_up_to_a_readable_count()
    {
        Assert.Equal(
            "layer 0 expert 0 slices 0,2-3; layer 0 expert 2 slice 1; layers 4-5 experts 0-1 slice 0",
            TileNames.Describe([
                new(5, 1, 0), new(0, 0, 3), new(0, 0, 0), new(0, 0, 2), new(0, 2, 1),
                new(4, 0, 0), new(4, 1, 0), new(5, 0, 0)]));
        Assert.EndsWith("; and 8 more ranges", TileNames.Describe(Enumerable.Range(0, 20).Select(i => new TileId(2 * i, 0, 0))));
    }

    private static Dictionary<string, IReadOnlySet<TileId>> Held() => Workers(3).ToDictionary(
        worker => worker,
        worker => (IReadOnlySet<TileId>)WorkerShare.Of(Plan, TinyA, worker).Tiles.ToHashSet());
}
