using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>Blocks that are not held any more, whose memory calls may still use.</summary>
/// <param name="remaining">What is held without them.</param>
/// <param name="dropped">The run and number of each.</param>
/// <param name="layout">The experts' layout.</param>
internal sealed class DroppedBlocks(TileSet remaining, IReadOnlyList<(ExpertTile Run, int Block)> dropped, ExpertLayout layout)
{
    /// <summary>Their bytes.</summary>
    public long Bytes { get; } = dropped.Sum(drop => layout.Blocks[drop.Block].Bytes);

    /// <summary>Which they are.</summary>
    public IReadOnlyCollection<(int Layer, int Expert, int Block)> Blocks => [.. dropped.Select(drop => (drop.Run.Slice.Layer, drop.Run.Slice.Expert, drop.Block))];

    /// <summary>
    /// Gives the memory back: all of a run of which nothing is held, else the pages of what is not. No call may use the blocks.
    /// </summary>
    public void Free()
    {
        var held = remaining.Runs.ToHashSet();
        foreach (var run in dropped.GroupBy(drop => drop.Run, drop => drop.Block))
            if (!held.Contains(run.Key))
                run.Key.Dispose();
            else
                foreach (var (first, end) in Runs(run.Order()))
                    run.Key.GiveBack(first, end);
    }

    private static IEnumerable<(int First, int End)> Runs(IEnumerable<int> ascending)
    {
        var (first, end) = (0, 0);
        foreach (var block in ascending)
        {
            if (block != end && end > first)
                yield return (first, end);
            first = block == end ? first : block;
            end = block + 1;
        }
        if (end > first)
            yield return (first, end);
    }
}
