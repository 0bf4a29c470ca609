namespace Grok1Cluster.Coordinator.Operations;

/// <summary>How a coordinator changes its cluster.</summary>
public sealed record OperationOptions
{
    /// <summary>Most bytes a second that a worker fetches; 0: no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>gRPC address to listen on for workers that fetch weights from this coordinator's disk; null: none.</summary>
    public string? WeightListen { get; init; }

    /// <summary>The same as workers reach it; null: where it listens.</summary>
    public string? WeightAddress { get; init; }
}
