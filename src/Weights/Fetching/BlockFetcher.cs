using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Grpc;
using Grok1Cluster.Model.Store;
using Grok1Cluster.Weights.Cache;

namespace Grok1Cluster.Weights.Fetching;

/// <summary>
/// Brings blocks from other machines into the cache. Every source is asked for a few pieces at a time; a block counts when it
/// has its SHA-256 and is on disk. A source that fails is tried again a few times, one that sends wrong bytes never.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="cache">Where blocks go.</param>
/// <param name="note">Told in a line why a source is not asked any more.</param>
/// <param name="tls">What to show to sources, and whom to trust; null in clear.</param>
public sealed class BlockFetcher(ModelStore model, WeightCache cache, Action<string> note, NodeCredentials? tls = null)
{
    /// <summary>Sources that are asked; more would add little but buffers.</summary>
    public const int MaxSources = 16;

    /// <summary>Pieces that a source is asked for at a time: while one is hashed and written, another comes.</summary>
    private const int PiecesAtOnce = 2;

    private const long PieceBytes = 4 << 20;
    private const int MaxFailures = 6;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    /// <summary>Fetches what the cache does not have.</summary>
    /// <param name="wanted">Ascending, each once, with the SHA-256 that it must have.</param>
    /// <param name="sources">gRPC addresses.</param>
    /// <param name="bytesPerSecond">Of all sources together; 0: no limit.</param>
    /// <param name="fetched">Told of the bytes of blocks that came, by several threads.</param>
    /// <param name="cancel">Gives up; what is on disk stays.</param>
    /// <exception cref="RpcException">UNAVAILABLE: nobody has some of the blocks, or can be reached; says why for each source. FAILED_PRECONDITION: there is no source.</exception>
    /// <exception cref="Model.ResourceException">The disk or the cache has no room.</exception>
    /// <exception cref="Model.ModelException">The cache has other bytes for one of the blocks.</exception>
    public async Task FetchAsync(
        IReadOnlyList<(BlockId Id, string Sha256)> wanted, IReadOnlyCollection<string> sources, long bytesPerSecond, Action<long> fetched, CancellationToken cancel)
    {
        cache.Refresh();
        var missing = wanted.Where(block => !cache.Has(block.Id, block.Sha256)).ToArray();
        if (missing.Length == 0)
            return;
        if (sources.Count == 0)
            throw new RpcException(GrpcStatusCode.FailedPrecondition, $"{missing[0].Id} is not on this machine, and there is no source to fetch it from");
        cache.Reserve(missing.Sum(block => model.ExpertLayout.Blocks[block.Id.Block].Bytes));
        FetchSource[] asked = [.. sources.Distinct().Take(MaxSources).Select(address => new FetchSource(address, tls))];
        try
        {
            // The first fault that no other source can mend ends everybody's work.
            using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var queue = new PieceQueue(Cut(missing), asked);
            var bucket = new TokenBucket(bytesPerSecond, TimeProvider.System);
            var lanes = asked.SelectMany(source => Enumerable.Range(0, PiecesAtOnce).Select(_ => ServeAsync(source))).ToArray();
            await Task.WhenAll(lanes).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cache.Sync();
            cancel.ThrowIfCancellationRequested();
            if (lanes.Select(lane => lane.Exception?.InnerException).FirstOrDefault(fault => fault is not null) is { } fault)
                throw fault;
            if (queue.Hopeless is { } piece)
                throw new RpcException(GrpcStatusCode.Unavailable, Explain(piece.Blocks[0].Id, asked));

            async Task ServeAsync(FetchSource source)
            {
                try
                {
                    await AskAsync(source, queue, bucket, fetched, failed.Token);
                }
                catch
                {
                    await failed.CancelAsync();
                    throw;
                }
            }
        }
        finally
        {
            foreach (var source in asked)
                source.Dispose();
        }
    }

    /// <summary>One lane of a source: pieces one after the other.</summary>
    private async Task AskAsync(FetchSource source, PieceQueue queue, TokenBucket bucket, Action<long> fetched, CancellationToken cancel)
    {
        while (await queue.TakeAsync(source, cancel) is var (piece, beaten))
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancel, beaten);
            try
            {
                await new PieceTransfer(model, cache, source, bucket, fetched).RunAsync(piece, either.Token);
                queue.Complete(piece, source);
            }
            catch (WrongBytesException e)
            {
                Drop(piece, 1, $"sent {e.Message}");
            }
            catch (RpcException e) when (e.Code == GrpcStatusCode.NotFound)
            {
                queue.Return(piece, source, lacks: true, MaxFailures, "");
            }
            catch (RpcException e) when (e.Code is GrpcStatusCode.FailedPrecondition or GrpcStatusCode.Unimplemented or GrpcStatusCode.InvalidArgument)
            {
                Drop(piece, 1, e.Status.Message);
            }
            catch (RpcException e)
            {
                Drop(piece, MaxFailures, e.Status.Message);
                await Task.WhenAny(Task.Delay(FirstPause * (1 << Math.Min(source.Failures, MaxFailures)), cancel), queue.Ended);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                // Another source was faster.
                queue.Return(piece, source, lacks: false, int.MaxValue, "");
            }
        }

        void Drop(FetchPiece piece, int maxFailures, string reason)
        {
            var before = source.Dropped;
            queue.Return(piece, source, lacks: false, maxFailures, reason);
            if (before is null && source.Dropped is not null)
                note($"source {source.Address} is not asked for weights any more: {reason}");
        }
    }

    private IEnumerable<FetchPiece> Cut(IReadOnlyList<(BlockId Id, string Sha256)> missing)
    {
        for (int start = 0, next; start < missing.Count; start = next)
        {
            var bytes = Bytes(missing[start]);
            for (next = start + 1; next < missing.Count && missing[next].Id == missing[next - 1].Id with { Block = missing[next - 1].Id.Block + 1 } && bytes + Bytes(missing[next]) <= PieceBytes; next++)
                bytes += Bytes(missing[next]);
            yield return new FetchPiece([.. missing.Skip(start).Take(next - start)]);
        }
    }

    private long Bytes((BlockId Id, string Sha256) block) => model.ExpertLayout.Blocks[block.Id.Block].Bytes;

    private static string Explain(BlockId block, IReadOnlyCollection<FetchSource> sources) =>
        $"{block} could not be fetched: {string.Join("; ", sources.Select(source => $"{source.Address} {(source.Dropped is { } why ? $"is out: {why}" : "does not have it")}"))}";
}
