using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Kernels.Diagnostics;

/// <summary>
/// The most int8 operations (a multiplication and an addition are two) that the threads of a pool do together, everything in
/// registers: the roof over prefilling. With AVX512-VNNI where the products use it, else with AVX-VNNI. Products by tiles of AMX may
/// exceed it: they are no measure for what vectors do, which all other products are made of.
/// </summary>
public sealed unsafe class Int8Peak : IComputeJob
{
    private const int Chains = 12;
    private const int Rounds = 50_000;
    private static readonly delegate* unmanaged[SuppressGCTransition]<void> Wide = Avx512Vnni.IsSupported ? (delegate* unmanaged[SuppressGCTransition]<void>)ExecutableCode.Make(WriteWide()) : null;

    private readonly ComputePool _pool;
    private readonly int[] _results;

    /// <param name="pool">The threads that compute.</param>
    /// <exception cref="PlatformNotSupportedException">The processor has neither AVX512-VNNI nor AVX-VNNI.</exception>
    public Int8Peak(ComputePool pool)
    {
        if (!IsSupported)
            throw new PlatformNotSupportedException("the int8 peak is that of AVX512-VNNI or AVX-VNNI, which this processor does not have");
        _pool = pool;
        _results = new int[pool.Threads * 4];
    }

    public static bool IsSupported => AvxVnni.IsSupported || Avx512Vnni.IsSupported;

    /// <summary>Runs for a few hundred microseconds a thread.</summary>
    /// <returns>10^9 operations a second.</returns>
    public double Pass()
    {
        var start = Stopwatch.GetTimestamp();
        _pool.Run(this, _results.Length);
        return _results.Length * (long)Rounds * Chains * (Wide is null ? 32 : 64) * 2 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
    }

    void IComputeJob.Execute(int part)
    {
        if (Wide is not null)
            Wide();
        else
            _results[part] = Chain(Vector256.Create((byte)part), Vector256.Create((sbyte)(part + 1)));
    }

    /// <summary>The same chains of 512 bits.</summary>
    private static byte[] WriteWide()
    {
        const int Factor = Chains;
        var code = new X64Assembler();
        for (var register = 0; register <= Factor; register++)
            code.Vpxord(register, register, register);
        code.Mov(Gpr.Rax, 0);
        var round = code.Here;
        for (var chain = 0; chain < Chains; chain++)
            code.Vpdpbusd(chain, Factor, Factor);
        code.Add(Gpr.Rax, 1);
        code.Mov(Gpr.Rcx, Rounds);
        code.Cmp(Gpr.Rax, Gpr.Rcx);
        code.Jl(round);
        code.Vzeroupper();
        code.Ret();
        return code.Code.ToArray();
    }

    /// <summary>Twelve chains that do not wait for each other, more than latency times rate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Chain(Vector256<byte> u, Vector256<sbyte> s)
    {
        Vector256<int> a = default, b = default, c = default, d = default, e = default, f = default;
        Vector256<int> g = default, h = default, i = default, j = default, k = default, l = default;
        for (var round = 0; round < Rounds; round++)
        {
            a = AvxVnni.MultiplyWideningAndAdd(a, u, s);
            b = AvxVnni.MultiplyWideningAndAdd(b, u, s);
            c = AvxVnni.MultiplyWideningAndAdd(c, u, s);
            d = AvxVnni.MultiplyWideningAndAdd(d, u, s);
            e = AvxVnni.MultiplyWideningAndAdd(e, u, s);
            f = AvxVnni.MultiplyWideningAndAdd(f, u, s);
            g = AvxVnni.MultiplyWideningAndAdd(g, u, s);
            h = AvxVnni.MultiplyWideningAndAdd(h, u, s);
            i = AvxVnni.MultiplyWideningAndAdd(i, u, s);
            j = AvxVnni.MultiplyWideningAndAdd(j, u, s);
            k = AvxVnni.MultiplyWideningAndAdd(k, u, s);
            l = AvxVnni.MultiplyWideningAndAdd(l, u, s);
        }
        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
