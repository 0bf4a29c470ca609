namespace Grok1Cluster.Coordinator.Operations;

/// <summary>How a coordinator changes its cluster.</summary>
public sealed record OperationOptions
{
    /// <summary>The model's; set by the session.</summary>
    public string Fingerprint { get; init; } = "";

    /// <summary>Most bytes a second that a worker fetches; 0: no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>gRPC address where this coordinator gives weights away; null: it does not.</summary>
    public string? WeightAddress { get; init; }
}
