namespace Grok1Cluster.Coordinator.Operations;

/// <summary>How far a change of the cluster is.</summary>
/// <param name="Operation">Such as <c>drain worker-2</c>.</param>
/// <param name="Phase">What is done now.</param>
/// <param name="DoneBytes">Weights that are where they shall be, of those that this change brings there.</param>
/// <param name="TotalBytes">All of those; 0 where no weights travel.</param>
public sealed record OperationProgress(string Operation, OperationPhase Phase, long DoneBytes = 0, long TotalBytes = 0);

/// <summary>The steps of a change, in their order.</summary>
public enum OperationPhase
{
    /// <summary>Workers bring into memory what the next plan gives them, beside what they hold.</summary>
    Holding,

    /// <summary>The next plan is written, and every coordinator takes it over.</summary>
    Switching,

    /// <summary>Workers let go of what the plan gives them no more.</summary>
    Releasing,

    Done,
}
