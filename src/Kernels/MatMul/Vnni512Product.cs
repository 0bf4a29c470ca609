using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// The fast products with 512-bit AVX512-VNNI: a run of blocks at a time, whose weights stay in L1, over tiles of rows of
/// nearly equal size. Only where <see cref="Avx512Vnni.IsSupported"/>.
/// </summary>
internal static unsafe class Vnni512Product
{
    /// <summary>Blocks that every tile takes before the next are read: 32 KiB of int8 weights, 18 KiB of int4.</summary>
    private const int Int8RunBlocks = 8, Int4RunBlocks = 32;

    private static readonly delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] Int8Kernels = Make(int4: false), Int4Kernels = Make(int4: true);

    /// <summary>As <see cref="Int8BlockProduct.Accumulate"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    public static void AccumulateInt8(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var blocks = stackalloc Vnni512Tile.Block[Int8RunBlocks];
        var tile = new Vnni512Tile { Weights = w.Weights, Blocks = blocks, YStride = stride * sizeof(float) };
        for (var first = w.FirstBlock; first < w.EndBlock; first += Int8RunBlocks)
        {
            var end = Math.Min(first + Int8RunBlocks, w.EndBlock);
            tile.BlockCount = end - first;
            for (var b = first; b < end; b++)
                blocks[b - first] = new Vnni512Tile.Block { Length = w.Blocks[b].PaddedLength, Scales = w.Scales + (long)(w.Blocks[b].Group - w.FirstGroup) * w.ScaleStride };
            Run(Int8Kernels, &tile, w.Blocks[first].PaddedStart, first, x, rows, count, y, stride);
            tile.Weights += (long)(w.Blocks[end - 1].PaddedStart + w.Blocks[end - 1].PaddedLength - w.Blocks[first].PaddedStart) * PanelLayout.Columns;
        }
    }

    /// <summary>As <see cref="Int4BlockProduct.Accumulate"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AccumulateInt4(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        var tile = new Vnni512Tile { Weights = w.Weights, YStride = stride * sizeof(float) };
        for (var first = w.FirstBlock; first < w.EndBlock; first += Int4RunBlocks)
        {
            tile.BlockCount = Math.Min(Int4RunBlocks, w.EndBlock - first);
            Run(Int4Kernels, &tile, w.Blocks[first].PaddedStart, first, x, rows, count, y, stride);
            tile.Weights += tile.BlockCount * PanelLayout.Int4BlockBytes;
        }
    }

    /// <summary>As <see cref="Int4BlockProduct.TryAccumulateStrip"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneRowInt4(in PanelOperands w, int panels, Activations x, int row, float* y, long panelStride)
    {
        var tile = new Vnni512Tile { Weights = w.Weights, BlockCount = w.EndBlock - w.FirstBlock, Y = y, PanelStride = panelStride * sizeof(float), YEnd = y + panels * panelStride };
        SetRow(&tile, 0, x, row, w.Blocks[w.FirstBlock].PaddedStart, w.FirstBlock);
        Int4Kernels[KernelIndex(1, prefetches: true)](&tile);
    }

    /// <summary>One run of blocks for all rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run(delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] kernels, Vnni512Tile* tile, int start, int block, Activations x, int* rows, int count, float* y, long stride)
    {
        var tiles = (count + Vnni512Tile.MaxRows - 1) / Vnni512Tile.MaxRows;
        for (int t = 0, first = 0; t < tiles; t++)
        {
            var height = (count - first + tiles - t - 1) / (tiles - t);
            for (var row = 0; row < height; row++)
                SetRow(tile, row, x, rows[first + row], start, block);
            tile->Y = y + first * stride;
            kernels[KernelIndex(height, prefetches: t == 0)](tile);
            first += height;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SetRow(Vnni512Tile* tile, int at, Activations x, long row, int start, int block)
    {
        tile->X[at] = (long)(x.Values + row * x.Axis.PaddedLength + start);
        tile->Scales[at] = (long)(x.Scales + row * x.Axis.BlockCount + block);
        tile->Sums[at] = (long)(x.Sums + row * x.Axis.BlockCount + block);
    }

    private static int KernelIndex(int rows, bool prefetches) => 2 * (rows - 1) + (prefetches ? 1 : 0);

    private static delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[] Make(bool int4)
    {
        var kernels = new delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>[2 * Vnni512Tile.MaxRows];
        for (var rows = 1; rows <= Vnni512Tile.MaxRows; rows++)
            foreach (var prefetches in (bool[])[false, true])
                kernels[KernelIndex(rows, prefetches)] = (delegate* unmanaged[SuppressGCTransition]<Vnni512Tile*, void>)ExecutableCode.Make(Vnni512TileWriter.Write(rows, int4, prefetches));
        return kernels;
    }
}
