using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>A 64-bit register, by its number in an instruction.</summary>
internal enum Gpr
{
    Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15,
}

/// <summary>A place in memory: <c>[base + index + displacement]</c>.</summary>
internal readonly record struct Address(Gpr Base, Gpr? Index, int Displacement)
{
    /// <summary>1, or 4 where the index counts 32-bit elements.</summary>
    public int Scale { get; init; } = 1;

    public static Address At(Gpr start, int displacement = 0) => new(start, null, displacement);

    public static Address At(Gpr start, Gpr index, int displacement = 0) => new(start, index, displacement);
}

/// <summary>
/// Writes the few x86-64 instructions that the kernels with 512-bit vectors are made of, encoded as the Intel 64 manual,
/// volume 2, has them (EVEX prefix: section 2.7). Vector registers are zmm0 to zmm31. Displacements are always 32 bits:
/// kernels are short, and an encoder without special cases is easy to check.
/// </summary>
internal sealed partial class X64Assembler
{
    private const int Map0F = 1, Map0F38 = 2;
    private const int NoPrefix = 0, Prefix66 = 1, PrefixF3 = 2;
    private readonly List<byte> _code = [];

    /// <summary>What was written so far.</summary>
    public ReadOnlySpan<byte> Code => CollectionsMarshal.AsSpan(_code);

    /// <summary>The place of the next instruction, to jump back to.</summary>
    public int Here => _code.Count;

    // Vectors.

    /// <summary>64 bytes from memory.</summary>
    public void Vmovdqu32(int target, Address source) => Evex(Map0F, PrefixF3, 0x6F, target, 0, source);

    /// <summary>64 bytes to memory.</summary>
    public void Vmovups(Address target, int source) => Evex(Map0F, NoPrefix, 0x11, source, 0, target);

    /// <summary>A copy.</summary>
    public void Vmovdqa32(int target, int source) => Evex(Map0F, Prefix66, 0x6F, target, 0, source);

    /// <summary>One 32-bit element of memory in all 16 lanes.</summary>
    public void Vpbroadcastd(int target, Address source) => Evex(Map0F38, Prefix66, 0x58, target, 0, source);

    /// <summary>A 32-bit register in all 16 lanes.</summary>
    public void Vpbroadcastd(int target, Gpr source) => Evex(Map0F38, Prefix66, 0x7C, target, 0, (int)source);

    /// <summary>To each 32-bit lane the four products of unsigned bytes with signed ones.</summary>
    public void Vpdpbusd(int sum, int unsigned, int signed) => Evex(Map0F38, Prefix66, 0x50, sum, unsigned, signed);

    public void Vpandd(int target, int left, int right) => Evex(Map0F, Prefix66, 0xDB, target, left, right);

    public void Vpxord(int target, int left, int right) => Evex(Map0F, Prefix66, 0xEF, target, left, right);

    /// <summary>32-bit lanes: left - right.</summary>
    public void Vpsubd(int target, int left, int right) => Evex(Map0F, Prefix66, 0xFA, target, left, right);

    /// <summary>32-bit lanes.</summary>
    public void Vpaddd(int target, int left, Address right) => Evex(Map0F, Prefix66, 0xFE, target, left, right);

    /// <summary>16-bit lanes, to the right, from memory.</summary>
    public void Vpsrlw(int target, int source, byte bits) => EvexImmediate(0x71, 2, target, source, bits);

    /// <summary>32-bit lanes, to the left.</summary>
    public void Vpslld(int target, int source, byte bits) => EvexImmediate(0x72, 6, target, source, bits);

    /// <summary>16 unsigned 16-bit elements of memory, each in a 32-bit lane.</summary>
    public void Vpmovzxwd(int target, Address source) => Evex(Map0F38, Prefix66, 0x33, target, 0, source);

    /// <summary>int32 to float32, to nearest even.</summary>
    public void Vcvtdq2ps(int target, int source) => Evex(Map0F, NoPrefix, 0x5B, target, 0, source);

    public void Vmulps(int target, int left, int right) => Evex(Map0F, NoPrefix, 0x59, target, left, right);

    /// <summary>target = target * factor + addend, rounded once.</summary>
    public void Vfmadd213ps(int target, int factor, Address addend) => Evex(Map0F38, Prefix66, 0xA8, target, factor, addend);

    /// <summary>Clears the upper halves, so that code with shorter vectors does not wait for them.</summary>
    public void Vzeroupper() => _code.AddRange([0xC5, 0xF8, 0x77]);

    // The rest.

    public void Mov(Gpr target, Address source) => Wide(0x8B, (int)target, source);

    public void Mov(Address target, Gpr source) => Wide(0x89, (int)source, target);

    public void Mov(Gpr target, int value)
    {
        Wide(0xC7, 0, (int)target);
        Immediate(value);
    }

    public void Add(Gpr target, Address source) => Wide(0x03, (int)target, source);

    public void Add(Gpr target, Gpr source) => Wide(0x03, (int)target, (int)source);

    public void Add(Gpr target, int value)
    {
        Wide(0x81, 0, (int)target);
        Immediate(value);
    }

    public void Cmp(Gpr left, Gpr right) => Wide(0x3B, (int)left, (int)right);

    public void Cmp(Gpr left, Address right) => Wide(0x3B, (int)left, right);

    /// <summary>Back, if the left side of the last comparison was less.</summary>
    public void Jl(int to)
    {
        _code.AddRange([0x0F, 0x8C]);
        Immediate(to - (Here + sizeof(int)));
    }

    /// <summary>Forward, unless the left side of the last comparison was less; to the place that <see cref="Land"/> is called at.</summary>
    /// <returns>The jump, for <see cref="Land"/>.</returns>
    public int JgeForward()
    {
        _code.AddRange([0x0F, 0x8D]);
        Immediate(0);
        return Here;
    }

    /// <summary>The place that a jump forward goes to.</summary>
    public void Land(int jump) => BinaryPrimitives.WriteInt32LittleEndian(CollectionsMarshal.AsSpan(_code)[(jump - sizeof(int))..], Here - jump);

    /// <summary>Asks for a cache line.</summary>
    public void Prefetch(PrefetchHint hint, Address address)
    {
        Rex(0, 0, address);
        _code.AddRange([0x0F, 0x18]);
        Memory((int)hint, address);
    }

    public void Push(Gpr register) => _code.AddRange([(byte)(0x40 | (int)register >> 3), (byte)(0x50 | (int)register & 7)]);

    public void Pop(Gpr register) => _code.AddRange([(byte)(0x40 | (int)register >> 3), (byte)(0x58 | (int)register & 7)]);

    public void Ret() => _code.Add(0xC3);

    private void Wide(byte opcode, int register, Address memory)
    {
        Rex(8, register, memory);
        _code.Add(opcode);
        Memory(register, memory);
    }

    private void Wide(byte opcode, int register, int other)
    {
        _code.AddRange([(byte)(0x48 | register >> 3 << 2 | other >> 3), opcode]);
        Registers(register, other);
    }

    private void Rex(int wide, int register, Address memory) =>
        _code.Add((byte)(0x40 | wide | register >> 3 << 2 | (int)(memory.Index ?? 0) >> 3 << 1 | (int)memory.Base >> 3));

    private void Evex(int map, int prefix, byte opcode, int register, int left, Address memory)
    {
        EvexPrefix(map, prefix, register, left, (int)memory.Base, (int)(memory.Index ?? 0) << 1);
        _code.Add(opcode);
        Memory(register, memory);
    }

    private void Evex(int map, int prefix, byte opcode, int register, int left, int right)
    {
        EvexPrefix(map, prefix, register, left, right, right);
        _code.Add(opcode);
        Registers(register, right);
    }

    private void EvexImmediate(byte opcode, int extension, int target, int source, byte value)
    {
        Evex(Map0F, Prefix66, opcode, extension, target, source);
        _code.Add(value);
    }

    /// <param name="map">Of the opcode.</param>
    /// <param name="prefix">Of the opcode.</param>
    /// <param name="register">The operand in ModRM.reg.</param>
    /// <param name="left">The operand in EVEX.vvvv.</param>
    /// <param name="other">The operand in ModRM.rm: bit 3 goes to EVEX.B.</param>
    /// <param name="extension">Bit 4 goes to EVEX.X: of a vector register itself, of an index (whose bit 3 it is) shifted.</param>
    private void EvexPrefix(int map, int prefix, int register, int left, int other, int extension)
    {
        // R, X, B, R', vvvv and V' are stored inverted.
        var (r, x, b, r2) = (~register >> 3 & 1, ~extension >> 4 & 1, ~other >> 3 & 1, ~register >> 4 & 1);
        _code.Add(0x62);
        _code.Add((byte)(r << 7 | x << 6 | b << 5 | r2 << 4 | map));
        _code.Add((byte)((~left & 0xF) << 3 | 1 << 2 | prefix));
        _code.Add((byte)(2 << 5 | (~left >> 4 & 1) << 3));
    }

    private void Registers(int register, int other) => _code.Add((byte)(0xC0 | (register & 7) << 3 | other & 7));

    private void Memory(int register, Address memory)
    {
        const int ScaledIndex = 4, NoIndex = 4;
        var start = (int)memory.Base & 7;
        if (memory.Index is null && start != ScaledIndex)
        {
            _code.Add((byte)(0x80 | (register & 7) << 3 | start));
        }
        else
        {
            _code.Add((byte)(0x80 | (register & 7) << 3 | ScaledIndex));
            _code.Add((byte)((memory.Scale == 4 ? 2 : 0) << 6 | ((int?)memory.Index & 7 ?? NoIndex) << 3 | start));
        }
        Immediate(memory.Displacement);
    }

    private void Immediate(int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        _code.AddRange(bytes);
    }
}
