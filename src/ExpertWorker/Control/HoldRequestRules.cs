using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Protos.Cluster.V1;
using BlockRange = Grok1Cluster.Cluster.Plans.BlockRange;
using WireRange = Grok1Cluster.Protos.Cluster.V1.BlockRange;

namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>What a coordinator asks about blocks must satisfy before anything is sized by it.</summary>
internal static class HoldRequestRules
{
    private const int Sha256Bytes = 32;

    /// <exception cref="RpcException">FAILED_PRECONDITION: another model. INVALID_ARGUMENT: a range or its hashes are wrong.</exception>
    public static (WantedTiles, WeightSupply) Read(HoldRequest request, ModelStore model)
    {
        CheckModel(request.Fingerprint, model);
        var sha256 = new Dictionary<BlockId, string>();
        var ranges = new List<BlockRange>(request.Ranges.Count);
        foreach (var asked in request.Ranges)
        {
            var range = Read(asked.Range, model);
            if (asked.Sha256.Length != Sha256Bytes * (range.EndBlock - range.FirstBlock))
                throw Invalid($"{Name(range)} has {asked.Sha256.Length} bytes of hashes, {Sha256Bytes} for each block are expected");
            for (var block = range.FirstBlock; block < range.EndBlock; block++)
            {
                var id = new BlockId(range.Layer, range.Expert, block);
                var hash = Convert.ToHexStringLower(asked.Sha256.Span.Slice(Sha256Bytes * (block - range.FirstBlock), Sha256Bytes));
                if (!sha256.TryAdd(id, hash) && sha256[id] != hash)
                    throw Invalid($"{id} is named twice, with different hashes");
            }
            ranges.Add(range);
        }
        try
        {
            foreach (var source in request.Sources)
                GrpcAddress.Parse(source);
        }
        catch (FormatException e)
        {
            throw Invalid($"a source is no address: {e.Message}");
        }
        return (new WantedTiles(ranges, sha256), new WeightSupply(request.Sources, (long)Math.Min(request.BytesPerSecond, long.MaxValue)));
    }

    /// <inheritdoc cref="Read(HoldRequest, ModelStore)"/>
    public static IReadOnlyList<BlockRange> Read(ReleaseRequest request, ModelStore model)
    {
        CheckModel(request.Fingerprint, model);
        return [.. request.Ranges.Select(range => Read(range, model))];
    }

    private static BlockRange Read(WireRange? range, ModelStore model)
    {
        if (range is null)
            throw Invalid("a range is missing");
        if (range.Layer >= model.Config.LayerCount || range.Expert >= model.Config.ExpertCount || range.FirstBlock >= range.EndBlock || range.EndBlock > model.ExpertLayout.Blocks.Count)
            throw Invalid($"layer {range.Layer} expert {range.Expert} blocks {range.FirstBlock} to {range.EndBlock} are no blocks of a model of {model.Config.LayerCount} layers, {model.Config.ExpertCount} experts and {model.ExpertLayout.Blocks.Count} blocks");
        return new BlockRange((int)range.Layer, (int)range.Expert, (int)range.FirstBlock, (int)range.EndBlock);
    }

    private static void CheckModel(string fingerprint, ModelStore model)
    {
        if (fingerprint != model.Manifest.Fingerprint)
            throw new RpcException(GrpcStatusCode.FailedPrecondition, $"this worker is of the model {model.Manifest.Fingerprint[..16]}, the request is for {(fingerprint.Length <= 64 ? fingerprint : "another")}");
    }

    private static string Name(BlockRange range) => $"layer {range.Layer} expert {range.Expert} blocks {range.FirstBlock} to {range.EndBlock}";

    private static RpcException Invalid(string what) => new(GrpcStatusCode.InvalidArgument, what);
}
