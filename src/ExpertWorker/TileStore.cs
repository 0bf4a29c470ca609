using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// The tiles a worker holds, found by what a call names: a tile, several neighbours as one, or a part of one on the edges of
/// expert blocks. So a worker that holds whole experts serves any plan that cuts them. Lookups are for one thread.
/// </summary>
public sealed class TileStore : IDisposable
{
    /// <summary>Views kept: more than any plan names, few enough that a coordinator that names all there can be does no harm.</summary>
    private const int MaxViews = 1 << 16;

    private readonly List<ExpertTile> _runs = [];
    private readonly ILookup<(int Layer, int Expert), ExpertTile> _byExpert;
    private readonly Dictionary<ExpertSlice, ExpertTile> _views = [];

    /// <param name="store">Holds at least the slices.</param>
    /// <param name="slices">What to hold.</param>
    /// <exception cref="ModelException">The store lacks one of them.</exception>
    public TileStore(ModelStore store, IEnumerable<ExpertSlice> slices)
    {
        Model = store;
        Slices = [.. slices.Distinct().OrderBy(slice => (slice.Layer, slice.Expert, slice.Start, slice.End))];
        foreach (var run in Joined(store, Slices))
            _runs.Add(store.OpenTile(run));
        _byExpert = _runs.ToLookup(run => (run.Slice.Layer, run.Slice.Expert));
    }

    public ModelStore Model { get; }

    /// <summary>What is held, as it was asked for, ascending.</summary>
    public IReadOnlyList<ExpertSlice> Slices { get; }

    /// <summary>What is held, neighbours joined: what is loaded, and placed on a device, at a time.</summary>
    public IReadOnlyList<ExpertTile> Runs => _runs;

    /// <summary>Bytes of weights and scales.</summary>
    public long Bytes => _runs.Sum(run => run.Bytes);

    /// <summary>The tile of a slice, or null if it is not all held.</summary>
    public ExpertTile? Find(ExpertSlice slice)
    {
        if (_views.TryGetValue(slice, out var view))
            return view;
        foreach (var run in _byExpert[(slice.Layer, slice.Expert)])
            if (run.View(slice) is { } found)
            {
                if (_views.Count == MaxViews)
                    _views.Clear();
                _views.Add(slice, found);
                return found;
            }
        return null;
    }

    /// <summary>Brings tiles into memory; before the first call.</summary>
    /// <param name="runs">Which of <see cref="Runs"/>.</param>
    /// <param name="memory">How.</param>
    /// <param name="loaded">Told of the bytes of each tile, by several threads; null: nobody is.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ModelException">A file cannot be read.</exception>
    /// <exception cref="ResourceException">The system does not allow so much locked memory.</exception>
    public static void Load(IReadOnlyList<ExpertTile> runs, WeightMemory memory, Action<long>? loaded, CancellationToken cancel) =>
        WeightLoading.LoadAll(runs, memory.For(runs.Sum(run => run.Bytes)), loaded, cancel);

    public void Dispose()
    {
        foreach (var run in _runs)
            run.Dispose();
    }

    /// <summary>Neighbouring slices as one, where the store has them side by side.</summary>
    private static List<ExpertSlice> Joined(ModelStore store, IReadOnlyList<ExpertSlice> slices)
    {
        var runs = new List<ExpertSlice>();
        foreach (var slice in slices)
            if (runs.Count > 0 && runs[^1] is var last && (last.Layer, last.Expert, last.End) == (slice.Layer, slice.Expert, slice.Start)
                && last with { End = slice.End } is var joined && store.Holds(joined))
                runs[^1] = joined;
            else
                runs.Add(slice);
        return runs;
    }
}
