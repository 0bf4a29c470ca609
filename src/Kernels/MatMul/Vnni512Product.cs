using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast products with 512-bit AVX512-VNNI, where <see cref="Avx512Vnni.IsSupported"/>: tiles of up to eight rows, of
/// nearly equal size. Several tiles share a run of blocks, whose weights stay in L1 while each tile brings its part of the next
/// run there, so that memory is read evenly; a single tile takes the panel in one go.
/// </summary>
internal static unsafe class Vnni512Product
{
    /// <summary>Rows whose tiles share a run of blocks; more take the panel again, from L2.</summary>
    private const int MaxRows = 128;

    /// <summary>Blocks of a run: 16 KiB of int8 weights, 9 KiB of int4.</summary>
    private const int Int8RunBlocks = 4, Int4RunBlocks = 16;

    /// <summary>Most int8 blocks in one go.</summary>
    private const int MaxBlocks = 64;

    /// <summary>How far ahead a single tile asks for weights.</summary>
    private const int Int8AheadBytes = 4096, Int4AheadBytes = 16 * PanelLayout.Int4BlockBytes;

    /// <summary>Weights of a step: 4 rows of int8; 8 rows of int4 and a quarter of a block's scales.</summary>
    private const int Int8StepBytes = 4 * PanelLayout.Columns, Int4StepBytes = PanelLayout.Int4BlockBytes / 4;

    private static readonly delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] Int8Kernels = Make(int4: false), Int4Kernels = Make(int4: true);

    /// <summary>As <see cref="Int8BlockProduct.Accumulate"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public static void AccumulateInt8(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var table = stackalloc Vnni512Tile.Row[Math.Min(count, MaxRows)];
        var blocks = stackalloc Vnni512Tile.Block[MaxBlocks];
        for (var done = 0; done < count; done += MaxRows, rows += MaxRows, y += MaxRows * stride)
        {
            var together = Math.Min(count - done, MaxRows);
            FillRows(table, x, rows, together);
            var tile = new Vnni512Tile { Weights = w.Weights, Blocks = blocks, YStride = stride * sizeof(float) };
            var most = together <= Vnni512Tile.MaxRows ? MaxBlocks : Int8RunBlocks;
            for (var first = w.FirstBlock; first < w.EndBlock; first += most)
            {
                var end = Math.Min(first + most, w.EndBlock);
                for (var b = first; b < end; b++)
                    blocks[b - first] = new Vnni512Tile.Block { Length = w.Blocks[b].PaddedLength, Scales = w.Scales + (long)(w.Blocks[b].Group - w.FirstGroup) * w.ScaleStride };
                (tile.FirstBlock, tile.EndBlock, tile.FirstK) = (first, end, w.Blocks[first].PaddedStart);
                var bytes = (w.Blocks[end - 1].PaddedStart + w.Blocks[end - 1].PaddedLength - tile.FirstK) * PanelLayout.Columns;
                RunTiles(Int8Kernels, &tile, bytes, Int8AheadBytes, Int8StepBytes, table, together, y, stride);
                tile.Weights += bytes;
            }
        }
    }

    /// <summary>As <see cref="Int4BlockProduct.Accumulate"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public static void AccumulateInt4(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var table = stackalloc Vnni512Tile.Row[Math.Min(count, MaxRows)];
        for (var done = 0; done < count; done += MaxRows, rows += MaxRows, y += MaxRows * stride)
        {
            var together = Math.Min(count - done, MaxRows);
            FillRows(table, x, rows, together);
            var tile = new Vnni512Tile { Weights = w.Weights, YStride = stride * sizeof(float) };
            var most = together <= Vnni512Tile.MaxRows ? w.EndBlock - w.FirstBlock : Int4RunBlocks;
            for (var first = w.FirstBlock; first < w.EndBlock; first += most)
            {
                (tile.FirstBlock, tile.EndBlock, tile.FirstK) = (first, Math.Min(first + most, w.EndBlock), w.Blocks[first].PaddedStart);
                var bytes = (tile.EndBlock - first) * PanelLayout.Int4BlockBytes;
                RunTiles(Int4Kernels, &tile, bytes, Int4AheadBytes, Int4StepBytes, table, together, y, stride);
                tile.Weights += bytes;
            }
        }
    }

    /// <summary>As <see cref="Int4BlockProduct.TryAccumulateStrip"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneRowInt4(in PanelOperands w, int panels, Activations x, int row, float* y, long panelStride)
    {
        Vnni512Tile.Row only;
        FillRows(&only, x, &row, 1);
        var tile = new Vnni512Tile
        {
            Weights = w.Weights, Ahead = w.Weights + Int4AheadBytes, AheadStep = Int4StepBytes, FirstBlock = w.FirstBlock, EndBlock = w.EndBlock, FirstK = w.Blocks[w.FirstBlock].PaddedStart,
            Rows = &only, Y = y, PanelStride = panelStride * sizeof(float), YEnd = y + panels * panelStride,
        };
        Int4Kernels[1](&tile);
    }

    /// <summary>All rows over one run of blocks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunTiles(
        delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] kernels, Vnni512Tile* tile, long bytes, int aheadBytes, int stepBytes, Vnni512Tile.Row* rows, int count, float* y, long stride)
    {
        var tiles = (count + Vnni512Tile.MaxRows - 1) / Vnni512Tile.MaxRows;
        tile->AheadStep = stepBytes / tiles;
        for (int t = 0, first = 0; t < tiles; t++)
        {
            var height = (count - first + tiles - t - 1) / (tiles - t);
            tile->Ahead = tile->Weights + (tiles == 1 ? aheadBytes : bytes + bytes * t / tiles);
            tile->Rows = rows + first;
            tile->Y = y + first * stride;
            kernels[height](tile);
            first += height;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FillRows(Vnni512Tile.Row* table, Activations x, int* rows, int count)
    {
        for (var i = 0; i < count; i++)
            table[i] = new Vnni512Tile.Row { Values = x.Values + (long)rows[i] * x.Axis.PaddedLength, Scales = x.Scales + (long)rows[i] * x.Axis.BlockCount, Sums = x.Sums + (long)rows[i] * x.Axis.BlockCount };
    }

    /// <summary>Kernels by their number of rows.</summary>
    private static delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] Make(bool int4)
    {
        var kernels = new delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[Vnni512Tile.MaxRows + 1];
        for (var rows = 1; rows <= Vnni512Tile.MaxRows; rows++)
            kernels[rows] = (delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>)ExecutableCode.Make(Vnni512TileWriter.Write(rows, int4));
        return kernels;
    }
}
