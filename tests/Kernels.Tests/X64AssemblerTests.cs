using Grok1Cluster.Kernels.MachineCode;
using static Grok1Cluster.Kernels.MachineCode.Gpr;

namespace Grok1Cluster.Kernels.Tests;

/// <summary>Against what the GNU assembler makes of the same lines, told to use displacements of 32 bits.</summary>
public class X64AssemblerTests
{
    [Fact]
    public void Instructions_are_encoded_as_by_another_assembler()
    {
        Check("62 e1 7e 48 6f 8e 40 00 00 00", code => code.Vmovdqu32(17, Address.At(Rsi, 64)));
        Check("62 71 7c 48 11 bb 40 00 00 00", code => code.Vmovups(Address.At(Rbx, 64), 15));
        Check("62 91 7d 48 6f ce", code => code.Vmovdqa32(1, 30));
        Check("62 c2 7d 48 58 a4 28 04 00 00 00", code => code.Vpbroadcastd(20, Address.At(R8, Rbp, 4)));
        Check("62 62 7d 48 58 84 88 00 00 00 00", code => code.Vpbroadcastd(24, Address.At(Rax, Rcx) with { Scale = 4 }));
        Check("62 02 7d 48 58 84 ac 00 00 00 00", code => code.Vpbroadcastd(24, Address.At(R12, R13) with { Scale = 4 }));
        Check("62 62 7d 48 7c f0", code => code.Vpbroadcastd(30, Rax));
        Check("62 42 7d 48 7c f1", code => code.Vpbroadcastd(30, R9));
        Check("62 32 75 40 50 fc", code => code.Vpdpbusd(15, 17, 20));
        Check("62 92 7d 40 50 c7", code => code.Vpdpbusd(0, 16, 31));
        Check("62 81 6d 40 db c6", code => code.Vpandd(16, 18, 30));
        Check("62 01 05 40 ef ff", code => code.Vpxord(31, 31, 31));
        Check("62 f1 05 40 fa db", code => code.Vpsubd(3, 31, 3));
        Check("62 b1 6d 40 71 d2 04", code => code.Vpsrlw(18, 18, 4));
        Check("62 91 35 48 72 f1 07", code => code.Vpslld(9, 25, 7));
        Check("62 e2 7d 48 33 b8 20 00 00 00", code => code.Vpmovzxwd(23, Address.At(Rax, 32)));
        Check("62 51 7c 48 5b f6", code => code.Vcvtdq2ps(14, 14));
        Check("62 01 44 40 59 c8", code => code.Vmulps(25, 23, 24));
        Check("62 72 35 40 a8 bb 40 00 00 00", code => code.Vfmadd213ps(15, 25, Address.At(Rbx, 64)));
        Check("c5 f8 77", code => code.Vzeroupper());
        Check("62 c1 3d 40 fe 89 80 00 00 00", code => code.Vpaddd(17, 24, Address.At(R9, 128)));
        Check("41 0f 18 84 24 40 00 00 00", code => code.Prefetch(PrefetchHint.NonTemporal, Address.At(R12, 64)));
        Check("42 0f 18 8c 0d 40 00 00 00", code => code.Prefetch(PrefetchHint.L1, Address.At(Rbp, R9, 64)));
        Check("41 0f 18 94 24 40 00 00 00", code => code.Prefetch(PrefetchHint.L2, Address.At(R12, 64)));
        Check("c4 c2 78 49 84 24 08 00 00 00", code => code.Ldtilecfg(Address.At(R12, 8)));
        Check("c4 e2 78 49 c0", code => code.Tilerelease());
        Check("c4 e2 7b 49 e8", code => code.Tilezero(5));
        Check("c4 e2 7b 4b a4 0e 40 00 00 00", code => code.Tileloadd(4, Address.At(Rsi, Rcx, 64)));
        Check("c4 82 7b 4b bc 01 40 00 00 00", code => code.Tileloadd(7, Address.At(R9, R8, 64)));
        Check("c4 82 7a 4b 9c 01 80 00 00 00", code => code.Tilestored(Address.At(R9, R8, 128), 3));
        Check("c4 a2 7a 4b 84 2b 80 00 00 00", code => code.Tilestored(Address.At(Rbx, R13, 128), 0));
        Check("c4 e2 4a 5e c4", code => code.Tdpbsud(0, 4, 6));
        Check("c4 e2 42 5e dd", code => code.Tdpbsud(3, 5, 7));
        Check("48 8b 87 10 00 00 00", code => code.Mov(Rax, Address.At(Rdi, 16)));
        Check("4c 89 9f 08 00 00 00", code => code.Mov(Address.At(Rdi, 8), R11));
        Check("4d 8b bc 24 18 00 00 00", code => code.Mov(R15, Address.At(R12, 24)));
        Check("48 c7 c0 0f 0f 0f 0f", code => code.Mov(Rax, 0x0F0F0F0F));
        Check("48 03 9f 10 00 00 00", code => code.Add(Rbx, Address.At(Rdi, 16)));
        Check("48 03 c5", code => code.Add(Rax, Rbp));
        Check("48 3b 8f 28 00 00 00", code => code.Cmp(Rcx, Address.At(Rdi, 40)));
        Check("48 3b e8", code => code.Cmp(Rbp, Rax));
        Check("41 54", code => code.Push(R12));
        Check("41 5f", code => code.Pop(R15));
        Check("c3", code => code.Ret());
    }

    [Fact]
    public void A_jump_goes_back_to_the_place_that_was_named()
    {
        var code = new X64Assembler();
        var start = code.Here;
        code.Add(Rax, 1);
        code.Jl(start);
        Assert.Equal("48 81 c0 01 00 00 00 0f 8c f3 ff ff ff", Hex(code));
    }

    [Fact]
    public void A_jump_forward_goes_to_the_place_where_it_lands()
    {
        var code = new X64Assembler();
        var jump = code.JgeForward();
        code.Add(Rax, 1);
        code.Land(jump);
        Assert.Equal("0f 8d 07 00 00 00 48 81 c0 01 00 00 00", Hex(code));
    }

    private static void Check(string expected, Action<X64Assembler> write)
    {
        var code = new X64Assembler();
        write(code);
        Assert.Equal(expected, Hex(code));
    }

    private static string Hex(X64Assembler code) => string.Join(' ', code.Code.ToArray().Select(value => $"{value:x2}"));
}
