using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Cuda.Attention;
using Grok1Cluster.Kernels.Ops;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Cuts a batch into tiles for thread blocks: some queries of one run, and all of its context, or, where a run has few rows, one split
/// of it. Reused from call to call.
/// </summary>
internal sealed class AttentionWork
{
    /// <summary>Runs of at most so many rows have their context spread over thread blocks.</summary>
    private const int FewRows = 16;

    private readonly List<AttentionTile> _tiles = [];
    private readonly List<AttentionMerge> _merges = [];

    public ReadOnlySpan<AttentionTile> Tiles => CollectionsMarshal.AsSpan(_tiles);

    /// <summary>Tiles whose splits must be added up.</summary>
    public ReadOnlySpan<AttentionMerge> Merges => CollectionsMarshal.AsSpan(_merges);

    /// <summary>Splits that wait to be added up, for each KV head.</summary>
    public int Partials { get; private set; }

    /// <param name="batch">The rows.</param>
    /// <param name="group">Query heads that read one KV head.</param>
    /// <param name="tileQueries">Most queries of a tile.</param>
    public void Divide(TokenBatch batch, int group, int tileQueries)
    {
        _tiles.Clear();
        _merges.Clear();
        Partials = 0;
        for (var index = 0; index < batch.Runs.Count; index++)
        {
            var run = batch.Runs[index];
            for (var first = 0; first < run.Rows * group; first += tileQueries)
                Add(run, first, Math.Min(tileQueries, run.Rows * group - first), group);
        }
    }

    private void Add(SequenceRun run, int first, int queries, int group)
    {
        var tile = new AttentionTile { FirstRow = run.FirstRow, Start = run.Start, FirstBlock = run.FirstBlock, FirstQuery = first, Queries = queries };
        var splits = Attention.Splits(run.Start + (first + queries - 1) / group + 1);
        if (run.Rows > FewRows || splits == 1)
        {
            _tiles.Add(tile with { EndSplit = splits, Partial = -1 });
            return;
        }
        _merges.Add(new AttentionMerge { FirstRow = run.FirstRow, FirstQuery = first, Queries = queries, Partial = Partials, Splits = splits });
        for (var split = 0; split < splits; split++)
            _tiles.Add(tile with { FirstSplit = split, EndSplit = split + 1, Partial = Partials + split });
        Partials += splits;
    }
}
