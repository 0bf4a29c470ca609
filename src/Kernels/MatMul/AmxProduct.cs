using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast product of many rows with AMX, where <see cref="RowTiles.AreFor"/> says so: panel by panel, whose weights stay in L2 while one tile of
/// rows after the other takes them and brings its part of the next panel there. The bits are those of every other path.
/// </summary>
internal static unsafe class AmxProduct
{
    /// <summary>Rows that take a panel after each other; their activations have room in L2 beside it.</summary>
    private const int TilesTogether = 4;

    /// <summary>Most blocks in one go.</summary>
    private const int MaxBlocks = 256;

    private static readonly delegate* unmanaged[SuppressGCTransition]<AmxTile*, void>[] OfRows = MakeKernels();

    /// <summary>As <see cref="PanelProduct.AccumulateRuns"/>, for int8 weights and all rows of <paramref name="x"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public static void Accumulate(ReadOnlySpan<PanelOperands> runs, int panels, RowTiles x, float* y, long stride, long panelStride)
    {
        var blocks = stackalloc AmxTile.Block[MaxBlocks];
        for (int run = 0, block = runs[0].FirstBlock; run < runs.Length;)
        {
            var (first, known, begin) = (block, 0, run);
            while (run < runs.Length && known < MaxBlocks && runs[run].PanelBytes == runs[begin].PanelBytes)
            {
                ref readonly var w = ref runs[run];
                for (; block < w.EndBlock && known < MaxBlocks; block++)
                    blocks[known++] = new AmxTile.Block
                    {
                        Weights = w.Weights + (long)(block - w.FirstBlock) * ReductionAxis.MaxBlock * PanelLayout.Columns,
                        Scales = w.Scales + (long)(w.Blocks[block].Group - w.FirstGroup) * w.ScaleStride,
                    };
                if (block == w.EndBlock)
                    run++;
            }
            for (var tile = 0; tile < x.Tiles; tile += TilesTogether)
                for (var panel = 0; panel < panels; panel++)
                    RunTiles(blocks, known, runs[begin], panel, x, first, tile, Math.Min(tile + TilesTogether, x.Tiles), y + panel * panelStride, stride);
        }
    }

    /// <summary>Some tiles of rows over a panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void RunTiles(AmxTile.Block* blocks, int count, in PanelOperands w, int panel, RowTiles x, int firstBlock, int firstTile, int endTile, float* y, long stride)
    {
        const int Alignment = 64;
        var shapes = stackalloc byte[AmxTile.ShapeBytes];
        var memory = stackalloc byte[AmxTile.MaxRows * PanelLayout.Columns * sizeof(int) + Alignment];
        var share = ReductionAxis.MaxBlock * PanelLayout.Columns / (endTile - firstTile);
        var isAlone = x.Tiles == 1;
        var tile = new AmxTile
        {
            Blocks = blocks, BlocksEnd = blocks + count,
            PanelWeights = panel * w.PanelBytes, PanelScales = (long)panel * w.PanelScales * sizeof(ushort),
            YStride = stride * sizeof(float), Shapes = shapes,
            Products = (int*)(((nint)memory + Alignment - 1) & -Alignment),
            AheadBytes = isAlone ? WeightPrefetch.AheadBytes : w.PanelBytes,
        };
        for (var (t, height) = (firstTile, 0); t < endTile; t++)
        {
            if (height != x.Height(t))
            {
                height = x.Height(t);
                AmxTileWriter.WriteShapes(height, new Span<byte>(shapes, AmxTile.ShapeBytes));
            }
            x.Find(t, firstBlock, &tile);
            tile.Y = y + x.FirstRow(t) * stride;
            tile.AheadStep = share / AmxTileWriter.ProductsOf(height);
            OfRows[height](&tile);
            tile.AheadBytes += share;
        }
    }

    private static delegate* unmanaged[SuppressGCTransition]<AmxTile*, void>[] MakeKernels()
    {
        var kernels = new delegate* unmanaged[SuppressGCTransition]<AmxTile*, void>[AmxTile.MaxRows + 1];
        for (var rows = 1; rows <= AmxTile.MaxRows; rows++)
            kernels[rows] = (delegate* unmanaged[SuppressGCTransition]<AmxTile*, void>)ExecutableCode.Make(AmxTileWriter.Write(rows));
        return kernels;
    }
}
