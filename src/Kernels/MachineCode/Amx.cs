using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>
/// Tiles of 16 rows by 64 bytes and their int8 products (Sapphire Rapids and later Xeons), for which .NET has no intrinsics: kernels
/// are written by <see cref="X64Assembler"/> when the process starts (docs/adr/0020-amx.md).
/// </summary>
public static partial class Amx
{
    /// <summary>Set to 0, keeps this process from using tiles: to compare, or where a hypervisor promises what it does not keep.</summary>
    public const string Switch = "GROK1_AMX";

    private const int ExtendedFeatures = 7, TileBit = 1 << 24, Int8Bit = 1 << 25;
    private const long ArchPrctl = 158, RequestPermission = 0x1023, TileData = 18;

    /// <summary>Whether the processor has them, kernels of <see cref="Avx512Vnni"/> run here, and Linux lets this process use them.</summary>
    public static bool IsSupported { get; } =
        Avx512Vnni.IsSupported && Environment.GetEnvironmentVariable(Switch) != "0"
        && (X86Base.CpuId(ExtendedFeatures, 0).Edx & (TileBit | Int8Bit)) == (TileBit | Int8Bit) && SystemCall(ArchPrctl, RequestPermission, TileData) == 0;

    // Threads' state grows by 8 KiB with the first tile, so Linux wants to be asked, once for all threads of a process.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long SystemCall(long number, long request, long feature);
}
