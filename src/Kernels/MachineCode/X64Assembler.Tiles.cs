namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>Instructions on tiles (AMX), registers tmm0 to tmm7; encoded as the Intel 64 manual, volume 2, has them (VEX prefix: section 2.3).</summary>
internal sealed partial class X64Assembler
{
    private const int PrefixF2 = 3;

    /// <summary>Names the shape of every tile, from 64 bytes of memory.</summary>
    public void Ldtilecfg(Address source) => Vex(NoPrefix, 0x49, 0, 0, source);

    /// <summary>Tiles hold nothing from here on, and the system need not keep them for this thread.</summary>
    public void Tilerelease() => Vex(NoPrefix, 0x49, 0, 0, 0);

    public void Tilezero(int tile) => Vex(PrefixF2, 0x49, tile, 0, 0);

    /// <summary>A tile's rows from memory.</summary>
    /// <param name="tile">0 to 7.</param>
    /// <param name="source">Of row 0; the index register is the number of bytes from a row to the next.</param>
    public void Tileloadd(int tile, Address source) => Vex(PrefixF2, 0x4B, tile, 0, source);

    /// <inheritdoc cref="Tileloadd"/>
    public void Tilestored(Address target, int tile) => Vex(PrefixF3, 0x4B, tile, 0, target);

    /// <summary>sum[m, n] += the products of four signed bytes of a row of <paramref name="signed"/> with four unsigned ones of a column of <paramref name="unsigned"/>, over its rows.</summary>
    public void Tdpbsud(int sum, int signed, int unsigned) => Vex(PrefixF3, 0x5E, sum, unsigned, signed);

    private void Vex(int prefix, byte opcode, int register, int left, Address memory)
    {
        VexPrefix(prefix, register, left, (int)memory.Base, (int)(memory.Index ?? 0));
        _code.Add(opcode);
        Memory(register, memory);
    }

    private void Vex(int prefix, byte opcode, int register, int left, int other)
    {
        VexPrefix(prefix, register, left, other, 0);
        _code.Add(opcode);
        Registers(register, other);
    }

    private void VexPrefix(int prefix, int register, int left, int other, int index)
    {
        // R, X, B and vvvv are stored inverted.
        _code.Add(0xC4);
        _code.Add((byte)((~register >> 3 & 1) << 7 | (~index >> 3 & 1) << 6 | (~other >> 3 & 1) << 5 | Map0F38));
        _code.Add((byte)((~left & 0xF) << 3 | prefix));
    }
}
