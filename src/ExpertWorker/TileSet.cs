using System.Collections.Immutable;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// What a worker holds at one moment. It never changes: a change makes another set. A block may be anywhere in memory, so
/// neighbours that came at different times are served as one tile. Lookups are for one thread.
/// </summary>
internal sealed class TileSet
{
    /// <summary>Views kept: more than any plan names, few enough that a coordinator that names all there can be does no harm.</summary>
    private const int MaxViews = 1 << 16;

    private readonly ExpertLayout _layout;

    // For every block of an expert the run that it is in, or null. Arrays are never written once they are here.
    private readonly Dictionary<(int Layer, int Expert), ExpertTile?[]> _holders;
    private readonly Dictionary<ExpertSlice, ExpertTile> _views = [];

    private TileSet(ExpertLayout layout, Dictionary<(int, int), ExpertTile?[]> holders, ImmutableArray<ExpertSlice> slices)
    {
        (_layout, _holders, Slices) = (layout, holders, slices);
        Bytes = slices.Sum(slice => layout.BlockRange(slice.Start, slice.End) is var (first, end) ? layout.Bytes(first, end) : 0);
    }

    /// <summary>As it was asked for, ascending, without overlaps.</summary>
    public ImmutableArray<ExpertSlice> Slices { get; }

    /// <summary>Bytes of weights and scales.</summary>
    public long Bytes { get; }

    /// <summary>The runs of memory behind it.</summary>
    public IEnumerable<ExpertTile> Runs => _holders.Values.SelectMany(blocks => blocks).OfType<ExpertTile>().Distinct();

    public static TileSet Empty(ExpertLayout layout) => new(layout, [], []);

    public bool Holds(BlockId id) => _holders.TryGetValue((id.Layer, id.Expert), out var holders) && holders[id.Block] is not null;

    /// <summary>The tile of a slice, or null if it is not all held.</summary>
    public ExpertTile? Find(ExpertSlice slice)
    {
        if (_views.TryGetValue(slice, out var view))
            return view;
        if (!_holders.TryGetValue((slice.Layer, slice.Expert), out var holders) || ExpertTile.View(_layout, slice, holders) is not { } found)
            return null;
        if (_views.Count == MaxViews)
            _views.Clear();
        _views.Add(slice, found);
        return found;
    }

    /// <summary>This set and more.</summary>
    /// <param name="runs">In memory; none of their blocks is held yet.</param>
    /// <param name="slices">The same blocks, cut as they were asked for.</param>
    public TileSet With(IReadOnlyCollection<ExpertTile> runs, IEnumerable<ExpertSlice> slices)
    {
        var holders = new Dictionary<(int, int), ExpertTile?[]>(_holders);
        foreach (var expert in runs.GroupBy(run => (run.Slice.Layer, run.Slice.Expert)))
        {
            var blocks = Copy(holders, expert.Key);
            foreach (var run in expert)
                blocks.AsSpan(run.FirstBlock, run.EndBlock - run.FirstBlock).Fill(run);
            holders[expert.Key] = blocks;
        }
        return new TileSet(_layout, holders, [.. Slices.Concat(slices).OrderBy(slice => (slice.Layer, slice.Expert, slice.Start))]);
    }

    /// <summary>This set with less.</summary>
    /// <param name="ranges">Within the model; what is not held is ignored.</param>
    /// <param name="dropped">Receives the run and number of every block that is not in the new set.</param>
    public TileSet Without(IReadOnlyCollection<BlockRange> ranges, List<(ExpertTile Run, int Block)> dropped)
    {
        var holders = new Dictionary<(int, int), ExpertTile?[]>(_holders);
        foreach (var expert in ranges.GroupBy(range => (range.Layer, range.Expert)).Where(expert => _holders.ContainsKey(expert.Key)))
        {
            var blocks = Copy(holders, expert.Key);
            foreach (var range in expert)
                for (var block = range.FirstBlock; block < range.EndBlock; block++)
                    if (blocks[block] is { } run)
                    {
                        dropped.Add((run, block));
                        blocks[block] = null;
                    }
            if (Array.TrueForAll(blocks, run => run is null))
                holders.Remove(expert.Key);
            else
                holders[expert.Key] = blocks;
        }
        return new TileSet(_layout, holders, [.. Slices.SelectMany(slice => Remains(slice, holders))]);
    }

    private ExpertTile?[] Copy(Dictionary<(int, int), ExpertTile?[]> holders, (int, int) expert) =>
        holders.TryGetValue(expert, out var blocks) ? [.. blocks] : new ExpertTile?[_layout.Blocks.Count];

    /// <summary>What is left of a slice: itself, some pieces, or nothing.</summary>
    private IEnumerable<ExpertSlice> Remains(ExpertSlice slice, Dictionary<(int, int), ExpertTile?[]> holders)
    {
        if (!holders.TryGetValue((slice.Layer, slice.Expert), out var blocks))
            yield break;
        var (first, end) = _layout.BlockRange(slice.Start, slice.End);
        for (int start = first, next; start < end; start = next)
        {
            for (next = start + 1; next < end && blocks[next] is null == blocks[start] is null; next++)
            {
            }
            if (blocks[start] is not null)
                yield return _layout.Slice(slice.Layer, slice.Expert, start, next);
        }
    }
}
