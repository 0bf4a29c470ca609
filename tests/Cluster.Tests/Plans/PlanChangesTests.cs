using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Tests.Plans;

public class PlanChangesTests
{
    private static readonly PlanGeometry Geometry = new("model", layerCount: 6, expertCount: 8, feedForwardDim: 1024, sliceQuantum: 64);
    private static readonly string[] Ids = ["a", "b", "c", "d"];

    [Fact]
    public void A_moved_bundle_keeps_its_place_and_its_other_holders()
    {
        var plan = Replicated(2);
        var first = plan.Bundles.First(bundle => bundle.Layer == 2);
        var to = Ids.Except(first.Workers).First();
        var moved = PlanChanges.Move(plan, 2, 0, first.Workers[0], to);
        Assert.Equal(plan.Epoch + 1, moved.Epoch);
        Assert.Equal([to, first.Workers[1]], moved.Bundles.First(bundle => bundle.Layer == 2).Workers.AsEnumerable());
        Assert.Single(moved.Bundles.Zip(plan.Bundles), pair => pair.First != pair.Second);
    }

    [Fact]
    public void A_cold_holder_that_takes_a_bundle_over_is_named_once_and_one_that_goes_not_at_all()
    {
        var sliced = Planner.Sliced(Geometry, Ids);
        var plan = sliced with { Bundles = [.. sliced.Bundles.Select(bundle => bundle with { Cold = [.. Ids.Except(bundle.Workers)] })] };
        var (moved, without) = (PlanChanges.Move(plan, 0, 0, "a", "c"), PlanChanges.Without(plan, "b", Capacities(null), 1));
        Assert.Equal(["b", "d"], moved.Bundles[0].Cold.AsEnumerable());
        Assert.DoesNotContain("b", without.NamedWorkers());
        // What other coordinators read they check.
        Assert.Equal(moved.Epoch, PlanJson.Read(PlanJson.Serialize(moved), Geometry, "the plan").Epoch);
        Assert.Equal(without.Epoch, PlanJson.Read(PlanJson.Serialize(without), Geometry, "the plan").Epoch);
    }

    [Theory]
    [InlineData(9, 0, "a", "b", "there is no layer 9")]
    [InlineData(0, 7, "a", "b", "layer 0 has bundles 0 to 3, not 7")]
    [InlineData(0, 0, "b", "c", "held by a, not by b")]
    [InlineData(0, 0, "a", "a", "a holds bundle 0 of layer 0 already")]
    public void A_move_that_makes_no_sense_is_refused(int layer, int bundle, string from, string to, string why) =>
        Assert.Contains(why, Assert.Throws<PlanException>(() => PlanChanges.Move(Planner.Sliced(Geometry, Ids), layer, bundle, from, to)).Message);

    [Fact]
    public void What_a_worker_leaves_is_shared_by_the_others_in_every_layer_and_in_all()
    {
        var plan = PlanChanges.Without(Planner.Sliced(Geometry, Ids), "b", Capacities(null), 1);
        Assert.Equal(["a", "c", "d"], plan.HoldingWorkers().AsEnumerable());
        Assert.Equal(plan.Bundles.Sum(plan.Columns) / 3, Held(plan, "a"));
        Assert.Equal(Held(plan, "a"), Held(plan, "c"));
        Assert.Equal(Held(plan, "a"), Held(plan, "d"));
    }

    [Fact]
    public void A_bundle_that_others_hold_too_is_not_copied()
    {
        var plan = Replicated(2);
        var without = PlanChanges.Without(plan, "b", Capacities(null), 1);
        Assert.All(without.Bundles.Zip(plan.Bundles), pair => Assert.Equal(pair.Second.Workers.Remove("b"), pair.First.Workers.AsEnumerable()));
    }

    [Fact]
    public void A_worker_cannot_go_when_the_others_have_no_room()
    {
        var plan = Planner.Sliced(Geometry, Ids);
        Assert.Contains("no other worker has room", Assert.Throws<PlanException>(() => PlanChanges.Without(plan, "b", Capacities(Held(plan, "a")), 1)).Message);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Copies_are_spread_so_that_every_worker_holds_as_much_and_several_stand_in_for_a_lost_one(int copies)
    {
        var plan = Replicated(copies);
        Assert.All(plan.Bundles, bundle => Assert.Equal(copies, bundle.Workers.Distinct().Count()));
        Assert.All(Ids, id => Assert.Equal(plan.Bundles.Sum(plan.Columns) * copies / Ids.Length, Held(plan, id)));
        foreach (var lost in Ids)
            Assert.True(plan.Bundles.Where(bundle => bundle.Workers[0] == lost).Select(bundle => bundle.Workers[1]).Distinct().Count() >= 2);
    }

    [Fact]
    public void More_copies_than_workers_are_refused() =>
        Assert.Contains("there are 4 workers", Assert.Throws<PlanException>(() => Replicated(5)).Message);

    [Fact]
    public void Copies_that_do_not_fit_are_refused()
    {
        var plan = Planner.Sliced(Geometry, Ids);
        Assert.Contains("do not fit", Assert.Throws<PlanException>(() => Replication.Replicate(plan, 2, Capacities(Held(plan, "a")), 1)).Message);
    }

    private static Plan Replicated(int copies) => Replication.Replicate(Planner.Sliced(Geometry, Ids), copies, Capacities(null), 1);

    private static long Held(Plan plan, string worker) => plan.Bundles.Where(bundle => bundle.Workers.Contains(worker)).Sum(plan.Columns);

    private static WorkerCapacity[] Capacities(long? bytes) => [.. Ids.Select(id => new WorkerCapacity(id, 1, bytes))];
}
