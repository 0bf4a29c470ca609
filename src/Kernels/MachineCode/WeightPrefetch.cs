using System.Runtime.Intrinsics.X86;

namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>
/// How kernels that stream weights ask for what comes. A weight is used once, so AMD's processors, whose L3 is filled by what leaves L2,
/// are asked to keep it out of both. On Intel's such a line goes to L1 alone, through its 16 fill buffers, which is half of what memory
/// gives; L2 has three times as many. Measured in docs/performance.md on Zen 5 and on Emerald Rapids.
/// </summary>
internal static class WeightPrefetch
{
    private const int Vendor = 0, AuthenticAmd = 0x68747541;

    private static readonly bool IsAmd = X86Base.IsSupported && X86Base.CpuId(Vendor, 0).Ebx == AuthenticAmd;

    /// <summary>Where lines go.</summary>
    public static PrefetchHint Hint { get; } = IsAmd ? PrefetchHint.NonTemporal : PrefetchHint.L2;

    /// <summary>Bytes ahead of the weights that are read.</summary>
    public static int AheadBytes { get; } = IsAmd ? 4096 : 8192;
}
