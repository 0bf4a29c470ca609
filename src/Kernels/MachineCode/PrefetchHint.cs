namespace Grok1Cluster.Kernels.MachineCode;

/// <summary>Where a cache line that is asked for goes, by its number in the instruction.</summary>
internal enum PrefetchHint
{
    /// <summary>Used once: L1 alone.</summary>
    NonTemporal,

    /// <summary>L1, and those below.</summary>
    L1,

    /// <summary>L2, and those below.</summary>
    L2,
}
