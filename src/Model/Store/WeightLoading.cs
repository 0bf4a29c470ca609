using System.Runtime.ExceptionServices;

namespace Grok1Cluster.Model.Store;

/// <summary>Loading many tiles at once: a disk and the kernel's page cache serve several readers faster than one.</summary>
public static class WeightLoading
{
    /// <param name="tiles">What to load.</param>
    /// <param name="memory">How.</param>
    /// <param name="check">Looks at each tile that is in memory, and throws where it is not sound; null: nobody does.</param>
    /// <param name="loaded">Told of the bytes of each tile, by several threads; null: nobody is.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ModelException">A file changed or cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled between two tiles.</exception>
    public static void LoadAll(IEnumerable<ExpertTile> tiles, WeightMemory memory, Action<ExpertTile>? check, Action<long>? loaded, CancellationToken cancel)
    {
        try
        {
            Parallel.ForEach(tiles, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Environment.ProcessorCount }, tile =>
            {
                tile.Load(memory);
                check?.Invoke(tile);
                loaded?.Invoke(tile.Bytes);
            });
        }
        catch (AggregateException e)
        {
            // One tile's fault says all there is to do.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }
}
