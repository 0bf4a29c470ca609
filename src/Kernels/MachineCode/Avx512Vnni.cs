using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>
/// The byte dot product over 512 bits, for which .NET 10 has no intrinsic (11 gets <c>AvxVnni.V512</c>): kernels that want
/// it are written by <see cref="X64Assembler"/> when the process starts (docs/adr/0016-machine-code.md).
/// </summary>
public static class Avx512Vnni
{
    private const int ExtendedFeatures = 7, VnniBit = 1 << 11;

    /// <summary>
    /// Whether the processor has it, the runtime uses 512-bit vectors at all (its switches turn both off), and code for it
    /// can be made here. Kernels follow Linux's calling convention.
    /// </summary>
    public static bool IsSupported { get; } =
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64 && Avx512BW.IsSupported
        && (X86Base.CpuId(ExtendedFeatures, 0).Ecx & VnniBit) != 0 && ExecutableCode.IsAllowed;
}
