namespace Grok1Cluster.ExpertWorker.Faults;

/// <summary>What a worker can be told to do wrong.</summary>
public enum FaultKind
{
    /// <summary>The computation takes longer, as on a slow or busy machine.</summary>
    Delay,

    /// <summary>The computing thread stands still, for a while or for ever; the connection lives.</summary>
    Stall,

    /// <summary>The process ends as by kill -9.</summary>
    Crash,

    /// <summary>A bit of the answer flips after its checksum was taken: altered on the way.</summary>
    Corrupt,

    /// <summary>A finite value of the answer is another, and the checksum fits: only a comparison finds it.</summary>
    Wrong,

    /// <summary>The answer has a NaN, and the checksum fits.</summary>
    NaN,

    /// <summary>The answer is too short, and the checksum fits.</summary>
    Shape,

    /// <summary>There is no answer.</summary>
    Drop,

    /// <summary>The call is refused with INTERNAL.</summary>
    Internal,
}
