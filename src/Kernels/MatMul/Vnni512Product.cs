using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast products with 512-bit AVX512-VNNI, where <see cref="Avx512Vnni.IsSupported"/>: tiles of up to eight rows, of
/// nearly equal size. Several tiles share a run of blocks, whose weights stay in L1 while each tile brings its part of the next
/// run there, so that memory is read evenly; a single tile takes its panels in one go, and up to four rows take them as two
/// streams: one core reads two faster than one (1.15 times here), and three or four slower.
/// </summary>
internal static unsafe class Vnni512Product
{
    /// <summary>Rows whose tiles share a run of blocks; more take the panel again, from L2.</summary>
    private const int MaxRows = 128;

    /// <summary>Most blocks in one go.</summary>
    private const int MaxBlocks = 256;

    private static readonly Kernels Int8 = new(int4: false), Int4 = new(int4: true);

    /// <summary>As <see cref="Int8BlockProduct.TryAccumulateStrip"/>.</summary>
    public static void AccumulateInt8(in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride) =>
        Accumulate(Int8, w, panels, x, rows, count, y, stride, panelStride);

    /// <summary>As <see cref="Int4BlockProduct.TryAccumulateStrip"/>.</summary>
    public static void AccumulateInt4(in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride) =>
        Accumulate(Int4, w, panels, x, rows, count, y, stride, panelStride);

    /// <summary>As <see cref="PanelProduct.AccumulateRuns"/>; false where a call for each run is as good.</summary>
    public static bool TryAccumulateInt8Runs(ReadOnlySpan<PanelOperands> runs, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride) =>
        TryAccumulateRuns(Int8, runs, panels, x, rows, count, y, stride, panelStride);

    /// <inheritdoc cref="TryAccumulateInt8Runs"/>
    public static bool TryAccumulateInt4Runs(ReadOnlySpan<PanelOperands> runs, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride) =>
        TryAccumulateRuns(Int4, runs, panels, x, rows, count, y, stride, panelStride);

    /// <summary>
    /// Of so many rows that weights are not what they wait for, tiles go over blocks of several runs at once, since each call costs time
    /// of its own, and a short run has little to do between two ways to the results.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static bool TryAccumulateRuns(Kernels kernels, ReadOnlySpan<PanelOperands> runs, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        if (!Avx512Vnni.IsSupported || count <= Vnni512Tile.MaxRows)
            return false;
        foreach (ref readonly var run in runs)
            if (run.EndBlock - run.FirstBlock > MaxBlocks)
                return false;
        var table = stackalloc Vnni512Tile.Row[MaxRows];
        var blocks = stackalloc Vnni512Tile.Block[MaxBlocks];
        for (var done = 0; done < count; done += MaxRows, rows += MaxRows, y += MaxRows * stride)
        {
            var together = Math.Min(count - done, MaxRows);
            FillRows(table, x, rows, together);
            var tile = new Vnni512Tile { Blocks = blocks, YStride = stride * sizeof(float), PanelStride = panelStride * sizeof(float) };
            for (int first = 0, end; first < runs.Length; first = end)
            {
                end = SetRuns(kernels, runs, first, &tile);
                tile.PanelScales = 0;
                tile.PanelScalesStep = runs[first].PanelScales * sizeof(ushort);
                for (var panel = 0; panel < panels; panel++, tile.PanelScales += tile.PanelScalesStep)
                {
                    tile.Weights = runs[first].Weights + panel * runs[first].PanelBytes;
                    var blockBytes = runs[first].PanelBytes / (runs[first].EndBlock - runs[first].FirstBlock);
                    RunTiles(kernels, &tile, runs[first].PanelBytes, blockBytes, table, together, y + panel * panelStride, stride);
                }
            }
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void Accumulate(Kernels kernels, in PanelOperands w, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        var table = stackalloc Vnni512Tile.Row[MaxRows];
        var blocks = stackalloc Vnni512Tile.Block[MaxBlocks];
        for (var done = 0; done < count; done += MaxRows, rows += MaxRows, y += MaxRows * stride)
        {
            var together = Math.Min(count - done, MaxRows);
            FillRows(table, x, rows, together);
            var tile = new Vnni512Tile
            {
                Weights = w.Weights, Blocks = blocks, YStride = stride * sizeof(float), PanelStride = panelStride * sizeof(float),
                PanelScalesStep = w.PanelScales * sizeof(ushort),
            };
            var isSingle = together <= Vnni512Tile.MaxRows;
            var most = isSingle ? MaxBlocks : kernels.RunBlocks;
            if (isSingle && w.EndBlock - w.FirstBlock <= most)
            {
                tile.Rows = table;
                var bytes = SetRun(kernels, w, &tile, w.FirstBlock, w.EndBlock);
                var paired = together <= Vnni512Tile.MaxRowsOfPairs ? panels / 2 * 2 : 0;
                if (paired > 0)
                    RunPairs(kernels, &tile, paired, bytes, together, y);
                if (paired < panels)
                    RunStream(kernels, &tile, panels - paired, together, y + paired * panelStride);
                continue;
            }
            for (var panel = 0; panel < panels; panel++, tile.PanelScales += tile.PanelScalesStep)
                for (var first = w.FirstBlock; first < w.EndBlock; first += most)
                {
                    var end = Math.Min(first + most, w.EndBlock);
                    var bytes = SetRun(kernels, w, &tile, first, end);
                    RunTiles(kernels, &tile, bytes, bytes / (end - first), table, together, y + panel * panelStride, stride);
                    tile.Weights += bytes;
                }
        }
    }

    /// <summary>Names the blocks of a run.</summary>
    /// <returns>Bytes of their weights.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long SetRun(Kernels kernels, in PanelOperands w, Vnni512Tile* tile, int first, int end)
    {
        for (var b = first; b < end; b++)
            tile->Blocks[b - first] = BlockOf(w, b);
        (tile->FirstBlock, tile->EndBlock, tile->FirstK) = (first, end, w.Blocks[first].PaddedStart);
        return (w.Blocks[end - 1].PaddedStart + w.Blocks[end - 1].PaddedLength - tile->FirstK) / kernels.StepRows * kernels.StepBytes;
    }

    /// <summary>
    /// Names the blocks of as many runs as share their tiles, at least of one. All weights of a run's panel are together, the next run's
    /// elsewhere, as far away for each panel: so their panels have one size.
    /// </summary>
    /// <returns>One past the last of these runs.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int SetRuns(Kernels kernels, ReadOnlySpan<PanelOperands> runs, int first, Vnni512Tile* tile)
    {
        var count = 0;
        var end = first;
        do
        {
            ref readonly var w = ref runs[end];
            if (count > 0)
                tile->Blocks[count - 1].Skip = w.Weights - (runs[end - 1].Weights + runs[end - 1].PanelBytes);
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
                tile->Blocks[count++] = BlockOf(w, b);
            end++;
        }
        while (end < runs.Length && runs[end].PanelBytes == runs[first].PanelBytes && count + runs[end].EndBlock - runs[end].FirstBlock <= kernels.RunBlocks);
        (tile->FirstBlock, tile->EndBlock) = (runs[first].FirstBlock, runs[first].FirstBlock + count);
        tile->FirstK = runs[first].Blocks[runs[first].FirstBlock].PaddedStart;
        return end;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vnni512Tile.Block BlockOf(in PanelOperands w, int block) =>
        new() { Length = w.Blocks[block].PaddedLength, Scales = w.Scales + (long)(w.Blocks[block].Group - w.FirstGroup) * w.ScaleStride };

    /// <summary>One tile over an even number of panels, whose first and second half are two streams; moves on to the panel after them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunPairs(Kernels kernels, Vnni512Tile* tile, int panels, long panelBytes, int count, float* y)
    {
        var half = panels / 2;
        tile->PairWeights = half * panelBytes;
        tile->PairY = half * tile->PanelStride;
        tile->PairScales = half * tile->PanelScalesStep;
        tile->Y = y;
        tile->YEnd = (float*)((byte*)y + tile->PairY);
        kernels.Pairs[count](tile);
        tile->Weights += panels * panelBytes;
        tile->PanelScales += tile->PairScales;
    }

    /// <summary>One tile over panels that are one stream.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunStream(Kernels kernels, Vnni512Tile* tile, int panels, int count, float* y)
    {
        tile->AheadBytes = WeightPrefetch.AheadBytes;
        tile->AheadStep = kernels.StepBytes;
        tile->Y = y;
        tile->YEnd = (float*)((byte*)y + panels * tile->PanelStride);
        kernels.OfRows[count](tile);
    }

    /// <summary>All rows over one run of blocks of a panel.</summary>
    /// <param name="kernels">Of the format.</param>
    /// <param name="tile">The run.</param>
    /// <param name="ahead">Bytes from a block's weights to those that come after the run in its place.</param>
    /// <param name="blockBytes">Of those of a block, which the tiles share out.</param>
    /// <param name="rows">All rows.</param>
    /// <param name="count">Their number.</param>
    /// <param name="y">Row 0 of the panel's result.</param>
    /// <param name="stride">Elements between rows.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunTiles(Kernels kernels, Vnni512Tile* tile, long ahead, long blockBytes, Vnni512Tile.Row* rows, int count, float* y, long stride)
    {
        var tiles = (count + Vnni512Tile.MaxRows - 1) / Vnni512Tile.MaxRows;
        var (height, higher) = Math.DivRem(count, tiles);
        var share = blockBytes / tiles;
        var scales = tile->PanelScales;
        tile->AheadStep = kernels.StepBytes / tiles;
        tile->AheadBytes = tiles == 1 ? WeightPrefetch.AheadBytes : ahead;
        for (var left = tiles; left > 0; left--)
        {
            // The last ones are a row higher, so that all rows are taken.
            var now = left > higher ? height : height + 1;
            tile->Rows = rows;
            tile->Y = y;
            tile->YEnd = y;
            kernels.OfRows[now](tile);
            tile->PanelScales = scales;
            tile->AheadBytes += share;
            rows += now;
            y += now * stride;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FillRows(Vnni512Tile.Row* table, Activations x, int* rows, int count)
    {
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        for (var i = 0; i < count; i++)
            table[i] = new Vnni512Tile.Row { Values = x.Values + rows[i] * paddedLength, Scales = x.Scales + rows[i] * blockCount, Sums = x.Sums + rows[i] * blockCount };
    }

    /// <summary>The kernels of a weight format.</summary>
    private sealed class Kernels
    {
        public Kernels(bool int4)
        {
            Int4 = int4;
            for (var rows = 1; rows <= Vnni512Tile.MaxRows; rows++)
                OfRows[rows] = (delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>)ExecutableCode.Make(Vnni512TileWriter.Write(rows, pairs: false, int4));
            for (var rows = 1; rows <= Vnni512Tile.MaxRowsOfPairs; rows++)
                Pairs[rows] = (delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>)ExecutableCode.Make(Vnni512TileWriter.Write(rows, pairs: true, int4));
        }

        public bool Int4 { get; }

        /// <summary>By the number of rows.</summary>
        public delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] OfRows { get; } = new delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[Vnni512Tile.MaxRows + 1];

        /// <summary>The same over two panels at once.</summary>
        public delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] Pairs { get; } = new delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[Vnni512Tile.MaxRowsOfPairs + 1];

        /// <summary>Blocks that several tiles share: 16 KiB of int8 weights, 9 KiB of int4.</summary>
        public int RunBlocks => Int4 ? 16 : 4;

        /// <summary>Rows of K that a step takes.</summary>
        public int StepRows => Int4 ? 8 : 4;

        /// <summary>Bytes of weights that a step takes; of int4 with a quarter of a block's scales.</summary>
        public int StepBytes => Int4 ? PanelLayout.Int4BlockBytes / 4 : 4 * PanelLayout.Columns;
    }
}
