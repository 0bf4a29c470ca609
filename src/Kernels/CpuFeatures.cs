using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels;

/// <summary>What this processor offers, as far as it decides which kernels run and what bits they give.</summary>
public static class CpuFeatures
{
    /// <summary>Whether a multiply-add rounds once. The JIT folds it to a constant, so asking costs nothing.</summary>
    public static bool HasFusedMultiplyAdd => Fma.IsSupported || AdvSimd.IsSupported;

    /// <summary>
    /// Names the instruction set behind the kernels. Processes that report the same id compute the same bits from the
    /// same input; with different ids results may differ by rounding (a multiply-add that rounds once or twice). AVX512-VNNI
    /// changes no bits, so it is in no id.
    /// </summary>
    public static string KernelId { get; } =
        AvxVnni.IsSupported ? "x64-avxvnni"
        : Avx2.IsSupported && Fma.IsSupported ? "x64-avx2"
        : AdvSimd.IsSupported ? "arm64-neon"
        : "vector128";
}
