using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// Rows of int8 activations as <see cref="AmxProduct"/> takes them: dealt into tiles of up to 32 rows of nearly equal number, and each tile's
/// part of a block of 128 together:
/// <code>
/// values   [tile][block][2 halves][rows of the tile][64]  int8
/// scales   [tile][block][rows of the tile]                float32
/// offsets  [tile][block][rows of the tile]                int32, -128 times the sum of the values: undoes the weights' offset
/// </code>
/// The choice of rows is made here, once for all panels. Buffers are kept and grow by doubling.
/// </summary>
public sealed unsafe class RowTiles : IDisposable
{
    /// <summary>Rows up to which the kernels without tiles are as fast: they wait for weights.</summary>
    private const int FewRows = 8;

    private NativeBuffer<sbyte> _values = new(0);
    private NativeBuffer<float> _scales = new(0);
    private NativeBuffer<int> _offsets = new(0);
    private int _blocks, _height, _higher;

    /// <summary>Rows; 0 where products go without tiles.</summary>
    public int Count { get; private set; }

    /// <summary>Tiles.</summary>
    public int Tiles { get; private set; }

    /// <summary>Whether so many rows along an axis are multiplied in tiles: where the machine has them, and every block is of 128.</summary>
    public static bool AreFor(ReductionAxis axis, WeightFormat weights, ActivationFormat activations, int rows) =>
        rows > FewRows && Amx.IsSupported && weights == WeightFormat.Int8 && activations == ActivationFormat.Int8Blocks && axis.IsUniform;

    /// <summary>Makes room for so many rows along an axis; what was there is undefined afterwards.</summary>
    public void Resize(int rows, ReductionAxis axis)
    {
        (Count, _blocks) = (rows, axis.BlockCount);
        Tiles = (rows + AmxTile.MaxRows - 1) / AmxTile.MaxRows;
        (_height, _higher) = Tiles == 0 ? (0, 0) : Math.DivRem(rows, Tiles);
        var blocks = (long)rows * _blocks;
        if (blocks <= _scales.Length)
            return;
        Dispose();
        blocks = Math.Max(blocks, 2 * _scales.Length);
        _values = new NativeBuffer<sbyte>(blocks * ReductionAxis.MaxBlock);
        _scales = new NativeBuffer<float>(blocks);
        _offsets = new NativeBuffer<int>(blocks);
    }

    /// <summary>Copies a run of blocks of some of the rows: row i of this is row <paramref name="rows"/>[i] of <paramref name="x"/>.</summary>
    /// <param name="x">int8 blocks on this axis.</param>
    /// <param name="rows">[<see cref="Count"/>] rows of <paramref name="x"/>.</param>
    /// <param name="tile">Below <see cref="Tiles"/>.</param>
    /// <param name="firstBlock">First block of the run.</param>
    /// <param name="endBlock">One past the last.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Pack(Activations x, int* rows, int tile, int firstBlock, int endBlock)
    {
        const int Half = AmxTile.ChunkBytes;
        var (first, height) = (FirstRow(tile), Height(tile));
        long paddedLength = x.Axis.PaddedLength, blockCount = x.Axis.BlockCount;
        for (var i = 0; i < height; i++)
        {
            var row = rows[first + i];
            var values = x.Values + row * paddedLength;
            var scales = x.Scales + row * blockCount;
            var sums = x.Sums + row * blockCount;
            for (var b = firstBlock; b < endBlock; b++)
            {
                var at = first * blockCount + (long)b * height;
                var target = _values.Pointer + at * ReductionAxis.MaxBlock + (long)i * Half;
                Vector512.Load(values + (long)b * ReductionAxis.MaxBlock).Store(target);
                Vector512.Load(values + (long)b * ReductionAxis.MaxBlock + Half).Store(target + height * Half);
                _scales.Pointer[at + i] = scales[b];
                _offsets.Pointer[at + i] = -PanelLayout.Offset * sums[b];
            }
        }
    }

    /// <summary>Rows of a tile: the last ones are a row higher, so that all rows are in.</summary>
    internal int Height(int tile) => tile < Tiles - _higher ? _height : _height + 1;

    internal int FirstRow(int tile) => tile * _height + Math.Max(0, tile - (Tiles - _higher));

    /// <summary>A tile's part of a block.</summary>
    internal void Find(int tile, int block, AmxTile* target)
    {
        var at = (long)FirstRow(tile) * _blocks + (long)block * Height(tile);
        target->Values = _values.Pointer + at * ReductionAxis.MaxBlock;
        target->Scales = _scales.Pointer + at;
        target->Offsets = _offsets.Pointer + at;
    }

    public void Dispose()
    {
        _values.Dispose();
        _scales.Dispose();
        _offsets.Dispose();
    }
}
