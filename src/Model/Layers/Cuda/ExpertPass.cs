using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Work items that one round of launches computes: consecutive ones of a call, few enough pairs that the hidden activations have
/// bounded room. Numbers that decide grids are rounded up to buckets, so that calls of about the same size share a recorded graph.
/// </summary>
internal sealed class ExpertPass
{
    /// <summary>Most pairs of a pass: what the scratch for hidden activations is made for.</summary>
    public const int MostPairs = 1024;

    private readonly List<(TileWork Work, nint Origin)> _items = [];

    /// <summary>First pair of the pass among those of the call.</summary>
    public int FirstPair { get; private set; }

    public int Pairs { get; private set; }

    /// <summary>Most pairs of an item.</summary>
    public int MostItemPairs { get; private set; }

    /// <summary>Hidden panels of all items.</summary>
    public int Panels { get; private set; }

    /// <summary>Most hidden panels of an item.</summary>
    public int MostPanels { get; private set; }

    /// <summary>Most hidden activation blocks of an item.</summary>
    public int MostBlocks { get; private set; }

    /// <summary>The tile that passes through one of the device's places for this pass; null: all its tiles live there.</summary>
    public ExpertTile? Transient { get; private set; }

    public int ItemCount => _items.Count;

    public IReadOnlyList<(TileWork Work, nint Origin)> Items => _items;

    // Offsets in the staging buffer.
    public long ItemsAt { get; set; }

    public long TouchedRowsAt { get; set; }

    public long RowStartsAt { get; set; }

    public long RowPairsAt { get; set; }

    public void Begin(int firstPair, ExpertTile? transient)
    {
        _items.Clear();
        (FirstPair, Transient) = (firstPair, transient);
        Pairs = MostItemPairs = Panels = MostPanels = MostBlocks = 0;
    }

    public void Add(TileWork work, nint origin, ExpertLayout layout)
    {
        _items.Add((work, origin));
        Pairs += work.Count;
        MostItemPairs = Math.Max(MostItemPairs, work.Count);
        var panels = PanelsOf(work.Tile, layout);
        Panels += panels;
        MostPanels = Math.Max(MostPanels, panels);
        var (first, end) = HiddenBlocks(work.Tile, layout);
        MostBlocks = Math.Max(MostBlocks, end - first);
    }

    /// <summary>Writes the table of items; entries past the last have no pairs and take what a rounded grid has too much.</summary>
    public void FillItems(Span<ExpertItem> table, ExpertLayout layout, nint transientOrigin)
    {
        var (pair, panel) = (0, 0);
        for (var i = 0; i < table.Length; i++)
        {
            if (i >= _items.Count)
            {
                table[i] = new ExpertItem { FirstPair = pair, FirstPanel = panel };
                continue;
            }
            var (work, origin) = _items[i];
            var (first, end) = HiddenBlocks(work.Tile, layout);
            table[i] = new ExpertItem
            {
                Weights = Transient is null ? origin : transientOrigin,
                FirstPair = pair,
                Pairs = work.Count,
                FirstBlock = work.Tile.FirstBlock,
                EndBlock = work.Tile.EndBlock,
                FirstPanel = panel,
                FirstHidden = first,
                EndHidden = end,
            };
            pair += work.Count;
            panel += PanelsOf(work.Tile, layout);
        }
    }

    private static (int First, int End) HiddenBlocks(ExpertTile tile, ExpertLayout layout) =>
        (layout.Blocks[tile.FirstBlock].FirstActivationBlock, layout.Blocks[tile.EndBlock - 1].EndActivationBlock);

    private static int PanelsOf(ExpertTile tile, ExpertLayout layout)
    {
        // Only the last block of an expert may be narrower than the others.
        var columns = Math.Min(tile.EndBlock * layout.BlockWidth, layout.FeedForwardDim) - tile.FirstBlock * layout.BlockWidth;
        return PanelLayout.PanelCount(columns);
    }
}
