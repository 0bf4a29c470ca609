using Google.Protobuf;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>What a worker has to hold under a plan and does not, or holds and need not, as blocks of the model store.</summary>
/// <param name="store">The model.</param>
/// <param name="geometry">The model's.</param>
/// <param name="hashes">What every block must hash to.</param>
internal sealed class ShareBlocks(ModelStore store, PlanGeometry geometry, BlockHashes hashes)
{
    /// <summary>What a worker lacks of its share.</summary>
    public IReadOnlyList<Cluster.Plans.BlockRange> Missing(Plan plan, WorkerConnection worker) => Missing(WorkerShare.Of(plan, geometry, worker.Id).Blocks, worker);

    /// <summary>What a worker lacks of some blocks.</summary>
    public IReadOnlyList<Cluster.Plans.BlockRange> Missing(IEnumerable<Cluster.Plans.BlockRange> ranges, WorkerConnection worker) =>
        Runs(ranges, (range, block) => !worker.Held.Has(range.Layer, range.Expert, Edge(block), Edge(block + 1)));

    /// <summary>What a plan gave to a worker and no one of the plans that hold does.</summary>
    public IReadOnlyList<Cluster.Plans.BlockRange> NoLongerNeeded(Plan before, IEnumerable<Plan> holding, string worker)
    {
        var kept = holding.SelectMany(plan => WorkerShare.Of(plan, geometry, worker).Blocks).ToLookup(range => (range.Layer, range.Expert));
        return Runs(WorkerShare.Of(before, geometry, worker).Blocks,
            (range, block) => !kept[(range.Layer, range.Expert)].Any(other => other.FirstBlock <= block && block < other.EndBlock));
    }

    /// <summary>The blocks of a bundle.</summary>
    public IEnumerable<Cluster.Plans.BlockRange> Of(Bundle bundle, Plan plan) => bundle.Tiles.Select(tile =>
        new Cluster.Plans.BlockRange(tile.Layer, tile.Expert, geometry.BlockAt(plan.Cuts[tile.Slice]), geometry.BlockAt(plan.Cuts[tile.Slice + 1])));

    /// <summary>Bytes of weights and scales.</summary>
    public long Bytes(IEnumerable<Cluster.Plans.BlockRange> ranges) => ranges.Sum(range => store.ExpertLayout.Bytes(range.FirstBlock, range.EndBlock));

    /// <summary>Asks for blocks, with what each must hash to; workers are asked for hashes that this coordinator does not know.</summary>
    /// <param name="workers">Those that can be asked.</param>
    /// <exception cref="OperationException">Nobody knows a block.</exception>
    public async Task<HoldRequest> RequestAsync(
        IReadOnlyList<Cluster.Plans.BlockRange> ranges, IReadOnlyCollection<WorkerConnection> workers, IEnumerable<string> sources, long bytesPerSecond, CancellationToken cancel)
    {
        await hashes.LearnAsync([.. ranges.SelectMany(Ids)], workers, cancel);
        var request = new HoldRequest { Fingerprint = store.Manifest.Fingerprint, BytesPerSecond = (ulong)bytesPerSecond };
        request.Sources.AddRange(sources);
        foreach (var range in ranges)
            request.Ranges.Add(new HoldRange { Range = ToProtobuf(range), Sha256 = Hashes(range) });
        return request;
    }

    /// <summary>Asks to let go of blocks.</summary>
    public ReleaseRequest Release(IEnumerable<Cluster.Plans.BlockRange> ranges) => new() { Fingerprint = store.Manifest.Fingerprint, Ranges = { ranges.Select(ToProtobuf) } };

    private static Protos.Cluster.V1.BlockRange ToProtobuf(Cluster.Plans.BlockRange range) => new()
    {
        Layer = (uint)range.Layer, Expert = (uint)range.Expert, FirstBlock = (uint)range.FirstBlock, EndBlock = (uint)range.EndBlock,
    };

    private ByteString Hashes(Cluster.Plans.BlockRange range)
    {
        var all = new byte[(range.EndBlock - range.FirstBlock) * 32];
        foreach (var (index, id) in Ids(range).Index())
            Convert.FromHexString(hashes.Find(id)!, all.AsSpan(index * 32, 32), out _, out _);
        return UnsafeByteOperations.UnsafeWrap(all);
    }

    private static IEnumerable<BlockId> Ids(Cluster.Plans.BlockRange range) =>
        Enumerable.Range(range.FirstBlock, range.EndBlock - range.FirstBlock).Select(block => new BlockId(range.Layer, range.Expert, block));

    /// <summary>The blocks for which a condition holds, neighbours joined.</summary>
    private static List<Cluster.Plans.BlockRange> Runs(IEnumerable<Cluster.Plans.BlockRange> ranges, Func<Cluster.Plans.BlockRange, int, bool> condition)
    {
        var runs = new List<Cluster.Plans.BlockRange>();
        foreach (var range in ranges)
            for (var block = range.FirstBlock; block < range.EndBlock; block++)
            {
                if (!condition(range, block))
                    continue;
                if (runs.Count > 0 && runs[^1] is var last && (last.Layer, last.Expert, last.EndBlock) == (range.Layer, range.Expert, block))
                    runs[^1] = last with { EndBlock = block + 1 };
                else
                    runs.Add(range with { FirstBlock = block, EndBlock = block + 1 });
            }
        return runs;
    }

    /// <summary>The column at which a block begins.</summary>
    private int Edge(int block) => Math.Min(block * geometry.SliceQuantum, geometry.FeedForwardDim);
}
