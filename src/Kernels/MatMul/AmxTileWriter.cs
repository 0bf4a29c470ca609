using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using static Grok1Cluster.Kernels.MachineCode.Gpr;

namespace Grok1Cluster.Kernels.MatMul;

/// <summary>
/// Writes the kernels for one to 32 rows over a panel of 32 columns:
/// <code>
/// for each block b of 128:   products = x[rows, b] * weights[b, columns]                   two or four tile registers, two chunks of 64
///     y[r] = fma(float(products[r] + offsets[r][b]), scales[r][b] * weightScales[b], y[r])
/// </code>
/// 64 rows of K of a panel are two tile registers of 16 columns as they lie in memory (<see cref="PanelLayout"/>): four rows of a column in
/// 32 bits. Products reach vectors by way of memory. A tile product occupies its unit for 16 cycles and everything behind it that is not
/// written between two of them; so the sums of a block are written between the products of the next.
/// </summary>
internal sealed class AmxTileWriter
{
    private const int VectorBytes = 64, ProductBytes = PanelLayout.Columns * sizeof(int), Chunks = ReductionAxis.MaxBlock / AmxTile.ChunkBytes;
    private const int ChunkOfWeights = AmxTile.ChunkBytes * PanelLayout.Columns;

    // Tile registers 0 to 3 are the sums: two halves of the columns for each 16 rows.
    private const int FirstRows = 4, LeftColumns = 6, RightColumns = 7;

    private const Gpr Tile = Rdi, Values = Rsi, Weights = Rdx, RowBytes = Rcx, PanelRowBytes = R8, Products = R9, YRow = R10, YStride = R11;
    private const Gpr Pointer = Rax, Blocks = Rbx, Ahead = Rbp, Scales = R12, Offsets = R13, PanelWeights = R14, AheadStep = R15;
    private const int LeftScales = 16, RightScales = 17, Scale = 18, Offset = 19, Factor = 20, Sum = 22;

    private static readonly Gpr[] Saved = [Rbx, Rbp, R12, R13, R14, R15];

    private readonly X64Assembler _code = new();
    private readonly int _rows;
    private readonly int _registers;

    private int LinesAhead => ReductionAxis.MaxBlock * PanelLayout.Columns / VectorBytes / ProductsOf(_rows);

    private AmxTileWriter(int rows) => (_rows, _registers) = (rows, Registers(rows));

    /// <summary>The instructions of a kernel, a function of an <see cref="AmxTile"/>* that returns nothing.</summary>
    /// <param name="rows">1 to <see cref="AmxTile.MaxRows"/>.</param>
    public static byte[] Write(int rows)
    {
        var writer = new AmxTileWriter(rows);
        writer.WriteFunction();
        return writer._code.Code.ToArray();
    }

    /// <summary>Products of a block, after each of which <see cref="AmxTile.AheadStep"/> is taken.</summary>
    public static int ProductsOf(int rows) => Chunks * Registers(rows);

    private static int Registers(int rows) => rows > AmxTile.RegisterRows ? 4 : 2;

    /// <summary>The shapes of the tile registers of a kernel, for ldtilecfg.</summary>
    /// <param name="rows">As for <see cref="Write"/>.</param>
    /// <param name="target">[<see cref="AmxTile.ShapeBytes"/>], overwritten.</param>
    public static void WriteShapes(int rows, Span<byte> target)
    {
        const int Palette = 0, Widths = 16, Heights = 48;
        target.Clear();
        target[Palette] = 1;
        for (var register = 0; register < 8; register++)
        {
            var isLower = register is 2 or 3 or FirstRows + 1;
            var height = register >= LeftColumns ? AmxTile.ChunkBytes / ReductionAxis.Interleave
                : isLower ? Math.Max(rows - AmxTile.RegisterRows, 0)
                : Math.Min(rows, AmxTile.RegisterRows);
            target[Heights + register] = (byte)height;
            target[Widths + 2 * register] = (byte)(height == 0 ? 0 : AmxTile.ChunkBytes);
        }
    }

    private void WriteFunction()
    {
        foreach (var register in Saved)
            _code.Push(register);
        _code.Mov(Pointer, Field(nameof(AmxTile.Shapes)));
        _code.Ldtilecfg(Address.At(Pointer));
        _code.Mov(RowBytes, AmxTile.ChunkBytes);
        _code.Mov(PanelRowBytes, ProductBytes);
        _code.Mov(Values, Field(nameof(AmxTile.Values)));
        _code.Mov(Scales, Field(nameof(AmxTile.Scales)));
        _code.Mov(Offsets, Field(nameof(AmxTile.Offsets)));
        _code.Mov(Blocks, Field(nameof(AmxTile.Blocks)));
        _code.Mov(Products, Field(nameof(AmxTile.Products)));
        _code.Mov(YStride, Field(nameof(AmxTile.YStride)));
        _code.Mov(PanelWeights, Field(nameof(AmxTile.PanelWeights)));
        _code.Mov(AheadStep, Field(nameof(AmxTile.AheadStep)));

        WriteBlock(isFirst: true);
        _code.Cmp(Blocks, Field(nameof(AmxTile.BlocksEnd)));
        var last = _code.JgeForward();
        var block = _code.Here;
        WriteBlock(isFirst: false);
        _code.Cmp(Blocks, Field(nameof(AmxTile.BlocksEnd)));
        _code.Jl(block);
        _code.Land(last);
        for (var register = 0; register < _registers; register++)
            WriteStore(register);
        WriteSumsStart();
        WriteSums(0, _rows);

        _code.Tilerelease();
        _code.Vzeroupper();
        foreach (var register in Saved.Reverse())
            _code.Pop(register);
        _code.Ret();
    }

    /// <summary>A block's products, and between them the sums of the block before.</summary>
    private void WriteBlock(bool isFirst)
    {
        _code.Mov(Weights, Address.At(Blocks));
        _code.Add(Weights, PanelWeights);
        _code.Mov(Ahead, Field(nameof(AmxTile.AheadBytes)));
        _code.Add(Ahead, Weights);
        var products = ProductsOf(_rows);
        for (var i = 0; i < products; i++)
        {
            var (chunk, register) = Math.DivRem(i, _registers);
            if (chunk == 0)
            {
                if (!isFirst)
                    WriteStore(register);
                _code.Tilezero(register);
            }
            WriteLoads(chunk, register);
            _code.Tdpbsud(register, FirstRows + register / 2, LeftColumns + register % 2);
            WriteAhead();
            if (isFirst || i == 0)
                continue;
            if (i == 1)
                WriteSumsStart();
            var (first, end) = RowsBehind(i, products);
            WriteSums(first, end);
        }
        _code.Add(Values, _rows * ReductionAxis.MaxBlock);
        _code.Add(Blocks, Marshal.SizeOf<AmxTile.Block>());
    }

    /// <summary>
    /// The rows of the block before whose sums come after a product: the first 16 once their registers are stored, before the first and second
    /// product, the others once theirs are, before the third and fourth.
    /// </summary>
    private (int First, int End) RowsBehind(int product, int products)
    {
        if (_registers == 2)
            return (_rows * (product - 1) / (products - 1), _rows * product / (products - 1));
        const int Upper = 4;
        if (product <= Upper)
            return (AmxTile.RegisterRows * (product - 1) / Upper, AmxTile.RegisterRows * product / Upper);
        var (lower, left) = (_rows - AmxTile.RegisterRows, products - 1 - Upper);
        return (AmxTile.RegisterRows + lower * (product - Upper - 1) / left, AmxTile.RegisterRows + lower * (product - Upper) / left);
    }

    private void WriteLoads(int chunk, int register)
    {
        if (register < 2)
            _code.Tileloadd(LeftColumns + register, Address.At(Weights, PanelRowBytes, chunk * ChunkOfWeights + register * VectorBytes));
        if (register % 2 == 0)
        {
            var row = register / 2 * AmxTile.RegisterRows;
            _code.Tileloadd(FirstRows + register / 2, Address.At(Values, RowBytes, (chunk * _rows + row) * AmxTile.ChunkBytes));
        }
    }

    private void WriteStore(int register) =>
        _code.Tilestored(Address.At(Products, PanelRowBytes, register / 2 * AmxTile.RegisterRows * ProductBytes + register % 2 * VectorBytes), register);

    /// <summary>All lines of a block where a tile is alone; of several each brings its share, and some lines are asked for twice.</summary>
    private void WriteAhead()
    {
        for (var line = 0; line < LinesAhead; line++)
            _code.Prefetch(WeightPrefetch.Hint, Address.At(Ahead, line * VectorBytes));
        _code.Add(Ahead, AheadStep);
    }

    /// <summary>The scales of the block before the one that <see cref="Blocks"/> points to.</summary>
    private void WriteSumsStart()
    {
        _code.Mov(Pointer, Address.At(Blocks, (int)Marshal.OffsetOf<AmxTile.Block>(nameof(AmxTile.Block.Scales)) - Marshal.SizeOf<AmxTile.Block>()));
        _code.Add(Pointer, Field(nameof(AmxTile.PanelScales)));
        for (var half = 0; half < 2; half++)
        {
            _code.Vpmovzxwd(LeftScales + half, Address.At(Pointer, half * VectorBytes / 2));
            _code.Vpslld(LeftScales + half, LeftScales + half, 16);
        }
        _code.Mov(YRow, Field(nameof(AmxTile.Y)));
    }

    private void WriteSums(int first, int end)
    {
        for (var row = first; row < end; row++)
        {
            _code.Vpbroadcastd(Scale, Address.At(Scales, row * sizeof(float)));
            _code.Vpbroadcastd(Offset, Address.At(Offsets, row * sizeof(int)));
            for (var half = 0; half < 2; half++)
            {
                // Registers in turns, so that no row waits for the one before.
                var sum = Sum + (2 * row + half) % 8;
                _code.Vpaddd(sum, Offset, Address.At(Products, row * ProductBytes + half * VectorBytes));
                _code.Vcvtdq2ps(sum, sum);
                _code.Vmulps(Factor, LeftScales + half, Scale);
                _code.Vfmadd213ps(sum, Factor, Address.At(YRow, half * VectorBytes));
                _code.Vmovups(Address.At(YRow, half * VectorBytes), sum);
            }
            _code.Add(YRow, YStride);
        }
        if (end != _rows || first == end)
            return;
        _code.Add(Scales, _rows * sizeof(float));
        _code.Add(Offsets, _rows * sizeof(int));
    }

    private static Address Field(string name) => Address.At(Tile, (int)Marshal.OffsetOf<AmxTile>(name));
}
