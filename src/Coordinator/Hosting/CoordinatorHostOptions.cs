using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Tracing;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Hosting;

/// <summary>A coordinator that serves.</summary>
public sealed record CoordinatorHostOptions
{
    /// <summary>The model and its workers.</summary>
    public required ClusterSessionOptions Session { get; init; }

    public EngineOptions Engine { get; init; } = new();

    /// <summary>Where the HTTP API listens, to whom it answers, how much it takes.</summary>
    public ApiOptions Api { get; init; } = new();

    /// <summary>How long requests that run may go on after the coordinator was told to end. Default 20 s.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(20);

    public LogFormat LogFormat { get; init; } = LogFormat.Text;

    /// <summary>Where traces go; null: nowhere.</summary>
    public OtlpOptions? Traces { get; init; }
}
