using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Model.Store;

/// <summary>
/// Loading many tiles at once: a disk and the kernel's page cache serve several readers faster than one. Readers give way to whoever
/// computes on the same machine: a worker that starts again there must not take the time of those that stand in for it.
/// </summary>
public static class WeightLoading
{
    /// <param name="tiles">What to load.</param>
    /// <param name="memory">How.</param>
    /// <param name="check">Looks at each tile that is in memory, and throws where it is not sound, or as soon as it is cancelled; null: nobody does.</param>
    /// <param name="loaded">Told of the bytes of each tile, by several threads; null: nobody is.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ModelException">A file changed or cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled between two tiles, or two blocks of one.</exception>
    public static void LoadAll(IEnumerable<ExpertTile> tiles, WeightMemory memory, Action<ExpertTile, CancellationToken>? check, Action<long>? loaded, CancellationToken cancel) =>
        ForAll(tiles, (tile, stop) =>
        {
            tile.Load(memory, stop);
            check?.Invoke(tile, stop);
            loaded?.Invoke(tile.Bytes);
        }, cancel);

    /// <summary>Looks at tiles that stay mapped.</summary>
    /// <param name="tiles">Which.</param>
    /// <param name="check">Throws where one is not sound.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="OperationCanceledException">Cancelled between two tiles, or two blocks of one.</exception>
    public static void CheckAll(IEnumerable<ExpertTile> tiles, Action<ExpertTile, CancellationToken> check, CancellationToken cancel) => ForAll(tiles, check, cancel);

    private static void ForAll(IEnumerable<ExpertTile> tiles, Action<ExpertTile, CancellationToken> work, CancellationToken cancel)
    {
        var left = new ConcurrentQueue<ExpertTile>(tiles);
        using var failed = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        var readers = Enumerable.Range(0, Math.Min(left.Count, Environment.ProcessorCount)).Select(_ => BackgroundThread.Run(Read)).ToArray();
        try
        {
            Task.WaitAll(readers, CancellationToken.None);
        }
        catch (AggregateException e)
        {
            cancel.ThrowIfCancellationRequested();
            // One tile's fault says all there is to do.
            ExceptionDispatchInfo.Throw(e.InnerExceptions.First(fault => fault is not OperationCanceledException));
        }

        void Read()
        {
            while (left.TryDequeue(out var tile))
            {
                failed.Token.ThrowIfCancellationRequested();
                try
                {
                    work(tile, failed.Token);
                }
                catch
                {
                    failed.Cancel();
                    throw;
                }
            }
        }
    }
}
