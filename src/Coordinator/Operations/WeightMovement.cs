using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>Has workers hold what a plan gives them, and let go of what it does not.</summary>
/// <param name="pool">The workers.</param>
/// <param name="blocks">What each should hold.</param>
/// <param name="options">Limits, and where this coordinator gives weights away.</param>
internal sealed class WeightMovement(WorkerPool pool, ShareBlocks blocks, OperationOptions options)
{
    /// <summary>Has every worker of a plan hold its share, beside what it holds; returns when calls for it would be answered.</summary>
    /// <param name="progress">Told of bytes: done and in all.</param>
    /// <exception cref="OperationException">A worker is not there or could not; what others brought in meanwhile stays until they are told to let go.</exception>
    public async Task HoldAsync(Plan plan, Action<long, long> progress, CancellationToken cancel)
    {
        var work = new List<(WorkerLink Worker, IReadOnlyList<Cluster.Plans.BlockRange> Missing)>();
        foreach (var id in plan.HoldingWorkers())
        {
            if (pool.Find(id) is not { IsReady: true } link)
                throw new OperationException($"worker {id} is not connected, and the plan gives it bundles; start it, or leave it out of the plan");
            if (blocks.Missing(plan, link.Connection) is { Count: > 0 } missing)
                work.Add((link, missing));
        }
        var total = work.Sum(item => blocks.Bytes(item.Missing));
        var done = new long[work.Count];
        progress(0, total);
        await Task.WhenAll(work.Index().Select(item => HoldAsync(item.Item.Worker, item.Item.Missing, bytes =>
        {
            done[item.Index] = bytes;
            progress(Math.Min(total, done.Sum()), total);
        }, cancel)));
    }

    /// <summary>Has one worker hold some blocks.</summary>
    /// <param name="progress">Told of the bytes that are in memory.</param>
    /// <exception cref="OperationException">It could not.</exception>
    public async Task HoldAsync(WorkerLink worker, IReadOnlyList<Cluster.Plans.BlockRange> missing, Action<long> progress, CancellationToken cancel)
    {
        var there = pool.Links.Where(link => link.IsReady).Select(link => link.Connection).ToList();
        var request = await blocks.RequestAsync(missing, there, Sources(worker), options.BytesPerSecond, cancel);
        try
        {
            await worker.Connection.HoldAsync(request, held => progress((long)held.DoneBytes), cancel);
            await worker.RefreshAsync(cancel);
        }
        catch (RpcException e)
        {
            throw new OperationException($"worker {worker.Id} could not take {blocks.Bytes(missing)} bytes of weights: {e.Status.Message}", e);
        }
        if (blocks.Missing(missing, worker.Connection) is { Count: > 0 } still)
            throw new OperationException($"worker {worker.Id} says that it holds the weights it was sent, but lacks {blocks.Bytes(still)} bytes of them; restart it");
    }

    /// <summary>Has workers let go of what a plan gave them and no one of those that hold does. A worker that does not answer is left alone.</summary>
    public Task ReleaseAsync(Plan before, IReadOnlyCollection<Plan> holding, CancellationToken cancel) => Task.WhenAll(before.HoldingWorkers().Select(async id =>
    {
        if (blocks.NoLongerNeeded(before, holding, id) is not { Count: > 0 } ranges || pool.Find(id) is not { IsReady: true } link)
            return;
        try
        {
            await link.Connection.ReleaseAsync(blocks.Release(ranges), cancel);
            await link.RefreshAsync(cancel);
        }
        catch (RpcException)
        {
            // It is lost, or too old to know the question. What it holds too much of does no harm.
        }
    }));

    /// <summary>Everybody who may have weights, this coordinator last: its link is the one that the tokens need.</summary>
    private IEnumerable<string> Sources(WorkerLink worker) =>
        pool.Links.Where(link => link != worker && link.IsReady).Select(link => link.Connection.Address).Concat(options.WeightAddress is { } own ? [own] : []);
}
