using Grok1Cluster.Cluster.Plans;
using static Grok1Cluster.Cluster.Tests.Plans.Geometries;

namespace Grok1Cluster.Cluster.Tests.Plans;

public sealed class MixedPlanTests
{
    /// <summary>Grok-1 in int8: 18432 bytes a column, 309 GB of experts.</summary>
    private const double BytesPerColumn = 3 * 6144;

    public static TheoryData<int, int> WorkersAndCuts => new()
    {
        { 1, 1 }, { 4, 2 }, { 5, 2 }, { 6, 4 }, { 7, 3 }, { 8, 2 }, { 8, 4 }, { 9, 9 }, { 16, 2 }, { 24, 3 }, { 40, 40 },
    };

    [Theory, MemberData(nameof(WorkersAndCuts))]
    public void Every_tile_is_placed_exactly_once_on_even_and_on_uneven_workers(int count, int cut)
    {
        foreach (var geometry in new[] { TinyA, NarrowLastBlock, Grok1 })
            foreach (var workers in new[] { Even(count), Uneven(count) })
            {
                var plan = Planner.Mixed(geometry, workers, BytesPerColumn, cut);
                Assert.Equal(PlanCoverage.AllTiles(geometry, plan.SliceCount), plan.Bundles.SelectMany(bundle => bundle.Tiles).Order());
                Assert.All(plan.Bundles, bundle => Assert.Equal(bundle.Tiles.Order(), bundle.Tiles));
                Assert.All(plan.Cuts, edge => Assert.True(geometry.IsEdge(edge), $"{edge} is no edge"));
                foreach (var layer in plan.Bundles.GroupBy(bundle => bundle.Layer))
                    Assert.Equal(layer.Count(), layer.Select(bundle => Assert.Single(bundle.Workers)).Distinct().Count());
            }
    }

    [Fact]
    public void Four_groups_of_two_workers_share_eight_experts_in_halves()
    {
        var plan = Planner.Mixed(Grok1, Even(8), BytesPerColumn, cut: 2);
        Assert.Equal([0, 16384, 32768], plan.Cuts.ToArray());
        Assert.Equal(
            ["worker-0: 0/0 4/0", "worker-4: 0/1 4/1", "worker-1: 1/0 5/0", "worker-5: 1/1 5/1", "worker-2: 2/0 6/0", "worker-6: 2/1 6/1", "worker-3: 3/0 7/0", "worker-7: 3/1 7/1"],
            plan.Bundles.Where(bundle => bundle.Layer == 63)
                .Select(bundle => $"{bundle.Workers[0]}: {string.Join(" ", bundle.Tiles.Select(tile => $"{tile.Expert}/{tile.Slice}"))}"));
    }

    [Fact]
    public void Slices_follow_the_speed_of_uneven_workers_so_that_they_finish_together_within_a_block()
    {
        double[] speeds = [3, 2, 1];
        var plan = Planner.Mixed(Grok1, Workers(3).Zip(speeds, (id, speed) => new WorkerCapacity(id, speed, null)).ToList(), BytesPerColumn, cut: 3);
        // 128 blocks of 256 columns: 64, 42.67 and 21.33 of them.
        Assert.Equal([0, 64 * 256, (64 + 43) * 256, 32768], plan.Cuts.ToArray());
        var times = speeds.Select((speed, i) => (plan.Cuts[i + 1] - plan.Cuts[i]) / speed).ToList();
        Assert.InRange(times.Max() - times.Min(), 0, 256 / speeds.Min());
    }

    [Fact]
    public void Numbers_of_whole_experts_follow_the_speed_of_uneven_workers()
    {
        double[] speeds = [4, 2, 1, 1];
        var plan = Planner.Mixed(Grok1, Workers(4).Zip(speeds, (id, speed) => new WorkerCapacity(id, speed, null)).ToList(), BytesPerColumn, cut: 1);
        Assert.All(plan.Bundles.GroupBy(bundle => bundle.Layer), layer =>
            Assert.Equal([4, 2, 1, 1], Workers(4).Select(worker => layer.Single(bundle => bundle.Workers[0] == worker).Tiles.Length)));
    }

    [Fact]
    public void A_fast_worker_holds_no_more_than_its_memory_and_the_others_take_the_rest()
    {
        WorkerCapacity[] workers = [new("fast", 10, 60L << 30), new("worker-1", 1, 200L << 30), new("worker-2", 1, 200L << 30)];
        foreach (var cut in new[] { 1, 3 })
        {
            var plan = Planner.Mixed(Grok1, workers, BytesPerColumn, cut);
            var held = workers.Select(worker => HeldBytes(plan, worker.Id)).ToList();
            Assert.All(workers.Zip(held), pair => Assert.InRange(pair.Second, 0, pair.First.MemoryBytes!.Value));
            Assert.InRange(held[0], 57e9, 60L << 30);
            Assert.InRange(held[1] / held[2], 0.97, 1.03);
        }
    }

    [Fact]
    public void Experts_that_do_not_fit_are_refused_with_the_bytes_they_take_and_the_bytes_there_are()
    {
        WorkerCapacity[] workers = [new("worker-0", 1, 100_000_000_000), new("worker-1", 2, 200_000_000_000)];
        var e = Assert.Throws<PlanException>(() => Planner.Mixed(Grok1, workers, BytesPerColumn, cut: 2));
        Assert.Contains("they take 309237645312 bytes", e.Message);
        Assert.Contains("the workers may hold worker-0 100000000000, worker-1 200000000000;", e.Message);
        // 46 and 82 of the 128 blocks.
        Planner.Mixed(Grok1, [workers[0] with { MemoryBytes = 112_000_000_000 }, workers[1]], BytesPerColumn, cut: 2);
    }

    [Fact]
    public void A_worker_without_memory_holds_nothing()
    {
        var plan = Planner.Mixed(TinyA, [new("a", 1, 0), new("b", 1, null)], BytesPerColumn, cut: 1);
        Assert.Equal(["b"], plan.HoldingWorkers().ToArray());
    }

    [Fact]
    public void A_cut_below_one_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Planner.Mixed(TinyA, Even(2), BytesPerColumn, cut: 0));

    private static List<WorkerCapacity> Even(int count) => [.. Workers(count).Select(id => new WorkerCapacity(id, 1, null))];

    private static List<WorkerCapacity> Uneven(int count) => [.. Workers(count).Select((id, i) => new WorkerCapacity(id, 1 + i * 7 % 5, null))];

    private static double HeldBytes(Plan plan, string worker) =>
        WorkerShare.Of(plan, Grok1, worker).Tiles.Sum(tile => (plan.Cuts[tile.Slice + 1] - plan.Cuts[tile.Slice]) * BytesPerColumn);
}
