using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels;

/// <summary>What this processor offers, as far as it decides which kernels run and what bits they give.</summary>
public static class CpuFeatures
{
    /// <summary>Whether a multiply-add rounds once. The JIT folds it to a constant, so asking costs nothing.</summary>
    public static bool HasFusedMultiplyAdd => Fma.IsSupported || AdvSimd.IsSupported;

    /// <summary>The instruction set behind the kernels. AVX512-VNNI changes no bits, so it has no name of its own.</summary>
    public static string InstructionSet { get; } =
        AvxVnni.IsSupported ? "x64-avxvnni"
        : Avx2.IsSupported && Fma.IsSupported ? "x64-avx2"
        : AdvSimd.IsSupported ? "arm64-neon"
        : "vector128";

    /// <summary>
    /// Names what decides the bits of kernels: <see cref="InstructionSet"/> and <see cref="KernelVersion"/>. Processes that report the same id
    /// compute the same bits from the same input; with different ids results may differ by rounding (a multiply-add that rounds once or twice).
    /// </summary>
    public static string KernelId { get; } = $"{InstructionSet}/{KernelVersion}";

    /// <summary>Goes up when kernels begin to give other bits: 1 had no outliers beside int8 blocks (and no number in its id), 2 has.</summary>
    public const int KernelVersion = 2;
}
