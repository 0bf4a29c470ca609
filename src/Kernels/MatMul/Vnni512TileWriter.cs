using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using static Grok1Cluster.Kernels.MachineCode.Gpr;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// Writes the kernels for one to eight rows over a panel of 32 columns, two vectors of 512 bits, or for one to four rows over two
/// panels at once, four vectors:
/// <code>
/// for each block b:  dot[r] = -offset * sums[r][b]
///     for each 4 k:  dot[r] += weights[k..k+3] * x[r][k..k+3]          the weights loaded once for all rows, one broadcast a row
///     y[r] = fma(float(dot[r]), scale[r][b] * weightScale[b], y[r])
/// </code>
/// Sixteen chains keep both multipliers busy at eight rows, and the 32 registers hold them. int4 weights are masked and
/// shifted apart on the way: rows k..k+3 in the low four bits, k+4..k+7 in the high ones. Two panels are two streams, which together
/// are read faster than one. All kernels ask for what comes (<see cref="WeightPrefetch"/>).
/// </summary>
internal sealed class Vnni512TileWriter
{
    private const int VectorBytes = 64, StepBytes = 2 * VectorBytes;

    // r8 to r15 point to the rows' activations; two panels have four rows at most. Some registers serve twice, in turns.
    private const Gpr Tile = Rdi, Weights = Rsi, K = Rbp, BlockIndex = Rcx, BlockEnd = Rax, Pointer = Rax, Ahead = Rbx, YRow = Rbx, Blocks = Rdx, PairWeights = R12, PairY = R13;

    // zmm0 to zmm15 are the sums: two a row, or four. The scales of a block come after its weights.
    private const int Low = 16, High = 20, WeightScales = 16, Broadcast = 24, BroadcastHigh = 25, Scale = 24, Product = 25, Mask = 30, Zero = 31;

    private static readonly Gpr[] Saved = [Rbx, Rbp, R12, R13, R14, R15];

    private readonly X64Assembler _code = new();
    private readonly int _rows;
    private readonly bool _pairs;
    private readonly bool _int4;
    private readonly int _vectors;

    private Vnni512TileWriter(int rows, bool pairs, bool int4) => (_rows, _pairs, _int4, _vectors) = (rows, pairs, int4, pairs ? 4 : 2);

    /// <summary>The instructions of a kernel, a function of a <see cref="Vnni512Tile"/>* that returns nothing.</summary>
    /// <param name="rows">1 to <see cref="Vnni512Tile.MaxRows"/>, or <see cref="Vnni512Tile.MaxRowsOfPairs"/>.</param>
    /// <param name="pairs">Two panels at once.</param>
    /// <param name="int4">int4 weights, otherwise int8.</param>
    public static byte[] Write(int rows, bool pairs, bool int4)
    {
        var writer = new Vnni512TileWriter(rows, pairs, int4);
        writer.WriteFunction();
        return writer._code.Code.ToArray();
    }

    private void WriteFunction()
    {
        foreach (var register in Saved)
            _code.Push(register);
        _code.Vpxord(Zero, Zero, Zero);
        if (_int4)
        {
            _code.Mov(Pointer, 0x0F0F0F0F);
            _code.Vpbroadcastd(Mask, Pointer);
        }
        _code.Mov(Weights, Field(nameof(Vnni512Tile.Weights)));
        if (_pairs)
        {
            _code.Mov(PairWeights, Field(nameof(Vnni512Tile.PairWeights)));
            _code.Mov(PairY, Field(nameof(Vnni512Tile.PairY)));
        }
        var panel = _code.Here;
        WritePanel();
        if (!_int4)
        {
            _code.Mov(Pointer, Field(nameof(Vnni512Tile.PanelScales)));
            _code.Add(Pointer, Field(nameof(Vnni512Tile.PanelScalesStep)));
            _code.Mov(Field(nameof(Vnni512Tile.PanelScales)), Pointer);
        }
        _code.Mov(Pointer, Field(nameof(Vnni512Tile.Y)));
        _code.Add(Pointer, Field(nameof(Vnni512Tile.PanelStride)));
        _code.Mov(Field(nameof(Vnni512Tile.Y)), Pointer);
        _code.Cmp(Pointer, Field(nameof(Vnni512Tile.YEnd)));
        _code.Jl(panel);
        _code.Vzeroupper();
        foreach (var register in Saved.Reverse())
            _code.Pop(register);
        _code.Ret();
    }

    private void WritePanel()
    {
        _code.Mov(Pointer, Field(nameof(Vnni512Tile.Rows)));
        for (var row = 0; row < _rows; row++)
            _code.Mov(X(row), RowField(nameof(Vnni512Tile.Row.Values), row));
        _code.Mov(Blocks, Field(nameof(Vnni512Tile.Blocks)));
        _code.Mov(K, Field(nameof(Vnni512Tile.FirstK)));
        _code.Mov(BlockIndex, Field(nameof(Vnni512Tile.FirstBlock)));
        var block = _code.Here;
        WriteStart();
        var step = _code.Here;
        if (_pairs)
            for (var vector = 0; vector < _vectors; vector++)
                WritePairPrefetch(vector);
        else
            WritePrefetch();
        if (_int4)
            WriteInt4Step();
        else
            WriteInt8Step();
        _code.Add(Weights, StepBytes);
        _code.Cmp(K, BlockEnd);
        _code.Jl(step);
        WriteFinish();
        _code.Add(BlockIndex, 1);
        _code.Cmp(BlockIndex, Field(nameof(Vnni512Tile.EndBlock)));
        _code.Jl(block);
    }

    /// <summary>Sums start at -offset times the sum of the block's activations, which undoes the weights' offset exactly.</summary>
    private void WriteStart()
    {
        for (var row = 0; row < _rows; row++)
        {
            _code.Mov(Pointer, Field(nameof(Vnni512Tile.Rows)));
            _code.Mov(Pointer, RowField(nameof(Vnni512Tile.Row.Sums), row));
            _code.Vpbroadcastd(Sum(row, 0), Element(Pointer));
            _code.Vpslld(Sum(row, 0), Sum(row, 0), (byte)int.Log2(_int4 ? PanelLayout.Int4Offset : PanelLayout.Offset));
            _code.Vpsubd(Sum(row, 0), Zero, Sum(row, 0));
            for (var vector = 1; vector < _vectors; vector++)
                _code.Vmovdqa32(Sum(row, vector), Sum(row, 0));
        }
        if (_int4)
            _code.Mov(BlockEnd, WeightFormats.Int4Group);
        else
            _code.Mov(BlockEnd, Address.At(Blocks));
        _code.Add(BlockEnd, K);
        if (!_pairs)
        {
            _code.Mov(Ahead, Field(nameof(Vnni512Tile.AheadBytes)));
            _code.Add(Ahead, Weights);
        }
    }

    private void WritePrefetch()
    {
        // An int4 block brings its scales along: 144 bytes a step.
        for (var line = 0; line < (_int4 ? 3 : 2); line++)
            _code.Prefetch(WeightPrefetch.Hint, Address.At(Ahead, line * VectorBytes));
        _code.Add(Ahead, Field(nameof(Vnni512Tile.AheadStep)));
    }

    private void WritePairPrefetch(int vector)
    {
        var address = WeightsOf(vector, VectorBytes);
        _code.Prefetch(WeightPrefetch.Hint, address with { Displacement = address.Displacement + WeightPrefetch.AheadBytes });
    }

    private void WriteInt8Step()
    {
        for (var vector = 0; vector < _vectors; vector++)
            _code.Vmovdqu32(Low + vector, WeightsOf(vector, VectorBytes));
        for (var row = 0; row < _rows; row++)
            WriteDots(row, Low, Broadcast, 0);
        _code.Add(K, 4);
    }

    private void WriteInt4Step()
    {
        for (var vector = 0; vector < _vectors; vector++)
        {
            _code.Vmovdqu32(High + vector, WeightsOf(vector, VectorBytes));
            _code.Vpandd(Low + vector, High + vector, Mask);
            _code.Vpsrlw(High + vector, High + vector, 4);
            _code.Vpandd(High + vector, High + vector, Mask);
        }
        for (var row = 0; row < _rows; row++)
        {
            WriteDots(row, Low, Broadcast, 0);
            WriteDots(row, High, BroadcastHigh, 4);
        }
        _code.Add(K, 8);
    }

    private void WriteDots(int row, int weights, int broadcast, int k)
    {
        _code.Vpbroadcastd(broadcast, Address.At(X(row), K, k));
        for (var vector = 0; vector < _vectors; vector++)
            _code.Vpdpbusd(Sum(row, vector), weights + vector, broadcast);
    }

    private void WriteFinish()
    {
        if (!_int4)
        {
            _code.Mov(Pointer, Address.At(Blocks, (int)Marshal.OffsetOf<Vnni512Tile.Block>(nameof(Vnni512Tile.Block.Scales))));
            _code.Add(Pointer, Field(nameof(Vnni512Tile.PanelScales)));
        }
        for (var vector = 0; vector < _vectors; vector++)
        {
            if (vector == 2 && !_int4)
                _code.Add(Pointer, Field(nameof(Vnni512Tile.PairScales)));
            _code.Vpmovzxwd(WeightScales + vector, _int4 ? WeightsOf(vector, VectorBytes / 2) : Address.At(Pointer, vector % 2 * VectorBytes / 2));
            _code.Vpslld(WeightScales + vector, WeightScales + vector, 16);
        }
        if (_int4)
        {
            // Scales are a cache line of their own between the blocks of each panel.
            for (var vector = 0; _pairs && vector < _vectors; vector += 2)
                WritePairPrefetch(vector);
            _code.Add(Weights, PanelLayout.Columns * sizeof(ushort));
        }
        _code.Add(Weights, Address.At(Blocks, (int)Marshal.OffsetOf<Vnni512Tile.Block>(nameof(Vnni512Tile.Block.Skip))));
        _code.Add(Blocks, Marshal.SizeOf<Vnni512Tile.Block>());
        _code.Mov(YRow, Field(nameof(Vnni512Tile.Y)));
        for (var row = 0; row < _rows; row++)
        {
            _code.Mov(Pointer, Field(nameof(Vnni512Tile.Rows)));
            _code.Mov(Pointer, RowField(nameof(Vnni512Tile.Row.Scales), row));
            _code.Vpbroadcastd(Scale, Element(Pointer));
            for (var vector = 0; vector < _vectors; vector++)
            {
                var y = vector < 2 ? Address.At(YRow, vector * VectorBytes) : Address.At(YRow, PairY, vector % 2 * VectorBytes);
                _code.Vmulps(Product, WeightScales + vector, Scale);
                _code.Vcvtdq2ps(Sum(row, vector), Sum(row, vector));
                _code.Vfmadd213ps(Sum(row, vector), Product, y);
                _code.Vmovups(y, Sum(row, vector));
            }
            if (row + 1 < _rows)
                _code.Add(YRow, Field(nameof(Vnni512Tile.YStride)));
        }
    }

    private static Gpr X(int row) => R8 + row;

    private int Sum(int row, int vector) => _vectors * row + vector;

    /// <summary>Where a vector's weights are, or its scales: two vectors of the panel, then two of the other one.</summary>
    private static Address WeightsOf(int vector, int bytes) =>
        vector < 2 ? Address.At(Weights, vector * bytes) : Address.At(Weights, PairWeights, vector % 2 * bytes);

    /// <summary>A row's 32-bit value of the current block.</summary>
    private static Address Element(Gpr values) => Address.At(values, BlockIndex) with { Scale = 4 };

    private static Address Field(string name) => Address.At(Tile, (int)Marshal.OffsetOf<Vnni512Tile>(name));

    /// <summary>A field of a row, where <see cref="Pointer"/> points to the rows.</summary>
    private static Address RowField(string name, int row) =>
        Address.At(Pointer, row * Marshal.SizeOf<Vnni512Tile.Row>() + (int)Marshal.OffsetOf<Vnni512Tile.Row>(name));
}
