using Grok1Cluster.Cluster.Plans;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class WorkerShareTests
{
    [Fact]
    public void A_share_is_told_as_blocks_of_the_store()
    {
        var plan = Planner.Sliced(NarrowLastBlock, Workers(2));
        Assert.Equal([0, 64, 176], plan.Cuts.ToArray());
        var share = WorkerShare.Of(plan, NarrowLastBlock, "worker-1");
        Assert.Equal(6, share.Tiles.Length);
        Assert.Equal(new BlockRange(0, 0, 1, 3), share.Blocks[0]);
        Assert.Equal(new BlockRange(1, 2, 1, 3), share.Blocks[^1]);
    }

    [Fact]
    public void Neighbouring_slices_of_an_expert_become_one_read()
    {
        var plan = new Plan(1, "narrow", [0, 64, 128, 176],
        [
            new Bundle(0, [new TileId(0, 0, 0), new TileId(0, 0, 1), new TileId(0, 1, 0), new TileId(0, 1, 2)], ["a"]),
            new Bundle(0, [new TileId(0, 0, 2)], ["b", "a"]),
        ]);
        Assert.Equal(
            [new BlockRange(0, 0, 0, 3), new BlockRange(0, 1, 0, 1), new BlockRange(0, 1, 2, 3)],
            WorkerShare.Of(plan, NarrowLastBlock, "a").Blocks.ToArray());
    }

    [Fact]
    public void The_lookup_tells_dispatch_which_experts_a_bundle_serves_and_who_holds_it()
    {
        var sliced = new PlanLookup(Planner.Sliced(NarrowLastBlock, Workers(2)), NarrowLastBlock);
        Assert.All(sliced.Bundles(1).ToArray(), bundle => Assert.Contains(2, bundle.Experts));

        var whole = new PlanLookup(Planner.Whole(NarrowLastBlock, Workers(2)), NarrowLastBlock);
        var bundle = whole.Bundles(1)[0];
        Assert.Equal((0, "worker-1"), (bundle.Index, whole.Workers[Assert.Single(bundle.Workers)]));
        Assert.Equal([0, 2], bundle.Experts.ToArray());
    }
}
