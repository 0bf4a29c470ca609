using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// Makes every plan that is not read from a file. Workers form groups; an expert of a layer goes to one group, whose
/// members each hold a slice of it. One worker a group is whole experts, one group of all workers is slices.
/// </summary>
/// <param name="bytesPerColumn">Bytes of one expert of one layer for each column of FeedForwardDim; only limits need it.</param>
internal sealed class MixedPlanner(PlanGeometry geometry, IReadOnlyList<WorkerCapacity> workers, double bytesPerColumn)
{
    /// <param name="Blocks">Width of each member's slice; 0 for a member that the group has nothing for.</param>
    /// <param name="Share">What the group can do, relative to other groups.</param>
    /// <param name="MaxExperts">Over all layers.</param>
    private sealed record Group(IReadOnlyList<int> Members, int[] Blocks, double Share, long MaxExperts)
    {
        /// <summary>Experts dealt so far.</summary>
        public long Experts { get; set; }
    }

    /// <param name="cut">Workers that share an expert. Where it does not divide the workers, some groups have one more.</param>
    /// <exception cref="PlanException">The experts do not fit into the workers' memory.</exception>
    public Plan Make(int cut, long epoch)
    {
        var shares = Apportionment.Share(
            (double)PieceCount * geometry.FeedForwardDim, [.. workers.Select(worker => worker.Speed)],
            [.. workers.Select(worker => worker.MemoryBytes / bytesPerColumn ?? double.PositiveInfinity)]) ?? throw DoesNotFit();
        var groups = FormGroups(shares, cut);
        ImmutableArray<int> cuts = [.. groups.SelectMany(Edges).Append(0).Distinct().Order()];
        var slices = groups.Select(group => SlicesOf(group, cuts)).ToList();
        var bundles = ImmutableArray.CreateBuilder<Bundle>();
        for (var layer = 0; layer < geometry.LayerCount; layer++)
            bundles.AddRange(from held in Deal(groups).Index()
                             where held.Item.Count > 0
                             orderby held.Item[0]
                             from member in slices[held.Index]
                             let tiles = from expert in held.Item
                                         from slice in Enumerable.Range(member.First, member.End - member.First)
                                         select new TileId(layer, expert, slice)
                             select new Bundle(layer, [.. tiles], [workers[member.Worker].Id]));
        return new Plan(epoch, geometry.Model, cuts, bundles.DrainToImmutable());
    }

    private long PieceCount => (long)geometry.LayerCount * geometry.ExpertCount;

    /// <summary>Groups of nearly the same speed: the fastest worker left joins the slowest group that has room.</summary>
    private List<Group> FormGroups(double[] shares, int cut)
    {
        var useful = Enumerable.Range(0, workers.Count).Where(worker => shares[worker] > 0).OrderByDescending(worker => shares[worker]).ToList();
        var count = Math.Max(1, useful.Count / cut);
        // A slice is a block at least.
        var room = Math.Min((useful.Count + count - 1) / count, geometry.BlockCount);
        var members = Enumerable.Range(0, count).Select(_ => new List<int>()).ToList();
        foreach (var worker in useful)
            if (members.Where(group => group.Count < room).MinBy(group => group.Sum(member => shares[member])) is { } slowest)
                slowest.Add(worker);
        var used = members.Sum(group => group.Sum(member => shares[member]));
        return [.. members.Select(group => Cut([.. group.Order()], shares, used))];
    }

    private Group Cut(IReadOnlyList<int> members, double[] shares, double used)
    {
        var share = members.Sum(member => shares[member]);
        var experts = Math.Max(1, Math.Floor(PieceCount * share / used));
        var blocks = Apportionment.Round(
            geometry.BlockCount, [.. members.Select(member => shares[member])],
            [.. members.Select(member => workers[member].MemoryBytes / (experts * geometry.SliceQuantum * bytesPerColumn) ?? double.PositiveInfinity)]) ?? throw DoesNotFit();
        var group = new Group(members, blocks, share, 0);
        var edges = Edges(group).Prepend(0).ToList();
        return group with
        {
            MaxExperts = members.Index().Min(member => workers[member.Item].MemoryBytes is { } bytes && blocks[member.Index] > 0
                ? (long)(bytes / ((edges[member.Index + 1] - edges[member.Index]) * bytesPerColumn))
                : long.MaxValue),
        };
    }

    /// <summary>
    /// One layer's experts to groups, [group] to ascending experts: each expert goes where the layer would be finished first, of equal
    /// groups where least is held so far. Without limits every layer is as short as it can be.
    /// </summary>
    private List<int>[] Deal(List<Group> groups)
    {
        var dealt = groups.Select(_ => new List<int>()).ToArray();
        for (var expert = 0; expert < geometry.ExpertCount; expert++)
        {
            var chosen = Enumerable.Range(0, groups.Count).Where(i => groups[i].Experts < groups[i].MaxExperts)
                .Select(i => (Finish: (dealt[i].Count + 1) / groups[i].Share, Held: (groups[i].Experts + 1) / groups[i].Share, Index: i))
                .DefaultIfEmpty((0, 0, -1)).Min();
            if (chosen.Index < 0)
                throw DoesNotFit();
            dealt[chosen.Index].Add(expert);
            groups[chosen.Index].Experts++;
        }
        return dealt;
    }

    /// <summary>Where the slices of a group's members end, in columns.</summary>
    private IEnumerable<int> Edges(Group group)
    {
        var block = 0L;
        foreach (var width in group.Blocks)
            yield return (int)Math.Min((block += width) * geometry.SliceQuantum, geometry.FeedForwardDim);
    }

    /// <summary>A member's slice as a run of the plan's slices, which all groups cut together.</summary>
    private List<(int Worker, int First, int End)> SlicesOf(Group group, ImmutableArray<int> cuts)
    {
        var edges = Edges(group).Prepend(0).Select(edge => cuts.BinarySearch(edge)).ToList();
        return [.. group.Members.Select((worker, i) => (worker, edges[i], edges[i + 1])).Where(member => member.Item2 < member.Item3)];
    }

    private PlanException DoesNotFit()
    {
        var total = PieceCount * geometry.FeedForwardDim * bytesPerColumn;
        var limits = string.Join(", ", workers.Take(16).Select(worker => $"{worker.Id} {(worker.MemoryBytes is { } bytes ? $"{bytes}" : "any number")}"));
        return new PlanException(
            $"the experts of model {geometry.Model} do not fit into its workers",
            [$"they take {total:0} bytes, rounded up to slices of {geometry.SliceQuantum} columns on every worker; "
                + $"the workers may hold {limits}{(workers.Count > 16 ? ", ..." : "")}; give them more memory, or add workers"]);
    }
}
