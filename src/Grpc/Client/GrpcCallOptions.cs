namespace Grok1Cluster.Grpc.Client;

/// <summary>What a caller says about one call.</summary>
/// <param name="Timeout">Time from now after which the call ends with DEADLINE_EXCEEDED, on both sides; null waits for ever, which only long-lived streams should.</param>
/// <param name="Headers">Metadata to send, or null.</param>
public readonly record struct GrpcCallOptions(TimeSpan? Timeout, Metadata? Headers)
{
    /// <summary>Where the code goes on that has awaited a message of the call.</summary>
    public MessageScheduling Scheduling { get; init; }

    /// <summary>A call with a deadline and no metadata.</summary>
    public static GrpcCallOptions After(TimeSpan timeout) => new(timeout, null);

    /// <summary>A call without deadline and metadata.</summary>
    public static GrpcCallOptions Endless => default;
}
