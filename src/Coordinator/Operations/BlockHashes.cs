using System.Runtime.CompilerServices;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights.Fetching;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>
/// What every expert block must hash to. A coordinator whose store has no experts, or some of them, takes the rest from the manifests of
/// workers that have the same model, and keeps it: the worker that told it may be lost when it is needed. Thread-safe.
/// </summary>
/// <param name="store">This coordinator's; what it lists counts before everything else.</param>
/// <param name="tls">What to show to workers; null in clear.</param>
internal sealed class BlockHashes(ModelStore store, NodeCredentials? tls)
{
    private readonly SemaphoreSlim _asking = new(1);
    private readonly Lock _gate = new();
    private readonly Dictionary<BlockId, (string Sha256, string Worker)> _learned = [];

    /// <summary>Connections whose worker has told its manifest: a process does not change it.</summary>
    private readonly ConditionalWeakTable<WorkerConnection, StoreManifest> _told = [];

    /// <summary>Asks workers, where a block is not known.</summary>
    /// <param name="blocks">What has to be known.</param>
    /// <param name="workers">Those that can be asked.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="OperationException">None of them lists one of the blocks, or two say different things of it.</exception>
    public async Task LearnAsync(IReadOnlyCollection<BlockId> blocks, IReadOnlyCollection<WorkerConnection> workers, CancellationToken cancel)
    {
        if (FirstUnknown(blocks) is null)
            return;
        await _asking.WaitAsync(cancel);
        try
        {
            if (workers.Where(worker => !_told.TryGetValue(worker, out _)).ToList() is { Count: > 0 } untold)
                await AskAsync(untold, cancel);
        }
        finally
        {
            _asking.Release();
        }
        if (FirstUnknown(blocks) is { } unknown)
            throw new OperationException(
                $"neither this coordinator's model {store.Name} nor the disk of a connected worker lists {unknown}, so a worker could not check it; start a worker that has it, or give the coordinator the whole model");
    }

    /// <summary>Lower-case hexadecimal; null where it is not known.</summary>
    public string? Find(BlockId id)
    {
        if (store.FindBlock(id) is { } own)
            return own.Sha256;
        lock (_gate)
            return _learned.TryGetValue(id, out var learned) ? learned.Sha256 : null;
    }

    private BlockId? FirstUnknown(IEnumerable<BlockId> blocks)
    {
        foreach (var id in blocks)
            if (Find(id) is null)
                return id;
        return null;
    }

    private async Task AskAsync(IReadOnlyList<WorkerConnection> workers, CancellationToken cancel)
    {
        var byAddress = workers.GroupBy(worker => worker.Address).ToDictionary(group => group.Key, group => group.First());
        try
        {
            foreach (var (address, _, manifest) in await ManifestTransfer.FetchAllAsync(byAddress.Keys, tls, static _ => { }, cancel))
                Take(byAddress[address], manifest);
        }
        catch (Exception e) when (e is RpcException or ModelException)
        {
            throw new OperationException($"the hashes of weights that this coordinator does not have could not be learned from workers: {(e as RpcException)?.Status.Message ?? e.Message}", e);
        }
    }

    private void Take(WorkerConnection worker, StoreManifest manifest)
    {
        // The fingerprint was compared when the worker was connected; what it has on disk may be of another model still.
        if (manifest.Fingerprint == store.Manifest.Fingerprint && manifest.ExpertBlockWidth == store.Manifest.ExpertBlockWidth)
            foreach (var (id, sha256) in manifest.Experts.SelectMany(expert => expert.Blocks()))
                Take(worker.Id, id, sha256);
        _told.AddOrUpdate(worker, manifest.WithoutWeights());
    }

    private void Take(string worker, BlockId id, string sha256)
    {
        if (store.FindBlock(id) is not null)
            return;
        lock (_gate)
            if (!_learned.TryAdd(id, (sha256, worker)) && _learned[id] is var other && other.Sha256 != sha256)
                throw new OperationException($"worker {worker} says that {id} is {sha256[..16]}, worker {other.Worker} that it is {other.Sha256[..16]}; one of them is damaged (grok1 verify)");
    }
}
