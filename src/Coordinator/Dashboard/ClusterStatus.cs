namespace Grok1Cluster.Coordinator.Dashboard;

/// <summary>The cluster at one moment, as <c>/cluster/status</c>, the dashboard and <c>grok1 top</c> show it.</summary>
public sealed record ClusterStatus
{
    public required DateTimeOffset Time { get; init; }

    /// <summary>loading, ready or draining.</summary>
    public required string Phase { get; init; }

    /// <summary>Share of the weights that is in memory.</summary>
    public required double LoadedRatio { get; init; }

    public required double UptimeSeconds { get; init; }

    public required string Version { get; init; }

    /// <summary>The process on this machine.</summary>
    public required CoordinatorStatus Coordinator { get; init; }

    /// <summary>Null until there is one, as everything below but the events.</summary>
    public ModelStatus? Model { get; init; }

    public CoverageStatus? Coverage { get; init; }

    public TrafficStatus? Traffic { get; init; }

    /// <summary>The change of the cluster that is under way; null: none.</summary>
    public OperationStatus? Operation { get; init; }

    public IReadOnlyList<WorkerStatus> Workers { get; init; } = [];

    /// <summary>The latest first.</summary>
    public IReadOnlyList<EventStatus> Events { get; init; } = [];
}

public sealed record CoordinatorStatus(int Pid, long MemoryBytes, double CpuCores);

public sealed record ModelStatus(
    string Name, string Format, string Precision, int Layers, int Experts, int ExpertsPerToken, int EmbeddingDim, int VocabularySize, int MaxSequenceLength, bool HasTokenizer);

/// <param name="Epoch">Of the plan; null without workers.</param>
/// <param name="Tiles">Tiles of the plan.</param>
/// <param name="Missing">Of those, held by no connected worker.</param>
/// <param name="Description">The missing ones by name.</param>
public sealed record CoverageStatus(long? Epoch, int Tiles, int Missing, string Description);

/// <summary>Requests and tokens; rates are over the last second, latencies over the last 512 values, in seconds.</summary>
public sealed record TrafficStatus(
    int Running, int Waiting, double GenerationTokensPerSecond, double PromptTokensPerSecond, double StepsPerSecond, long GenerationTokens, long PromptTokens,
    long CachedTokens, long Preemptions, int KvBlocksUsed, int KvBlocks, double? TtftP50, double? TtftP95, double? TpotP50, double? TpotP95);

/// <summary>One worker.</summary>
/// <param name="State">joining, ready, draining or lost.</param>
/// <param name="Tiles">Tiles held.</param>
/// <param name="Bytes">Weights held.</param>
/// <param name="MemoryBytes">Resident memory of its process; null when it did not say.</param>
/// <param name="RoundTripUs">Microseconds of a small question and its answer.</param>
/// <param name="CallsPerSecond">Over the last second, like the others.</param>
/// <param name="RowsPerSecond">Tokens times layers.</param>
/// <param name="BusyRatio">Share of the time that it computed.</param>
/// <param name="CallMs">Mean time of a call, milliseconds; null without calls.</param>
/// <param name="StragglerRatio">Share of the time that others waited for this worker alone.</param>
public sealed record WorkerStatus(
    string Id, long Pid, string Address, string State, int Tiles, long Bytes, long? MemoryBytes, double? RoundTripUs, double CallsPerSecond, double RowsPerSecond,
    double SentBytesPerSecond, double ReceivedBytesPerSecond, double BusyRatio, double? CallMs, double StragglerRatio, string Version, string KernelId);

/// <param name="Operation">Such as <c>drain worker-2</c>.</param>
/// <param name="Phase">holding, switching or releasing.</param>
/// <param name="DoneBytes">Weights that are where they shall be.</param>
public sealed record OperationStatus(string Operation, string Phase, long DoneBytes, long TotalBytes);

public sealed record EventStatus(DateTimeOffset Time, string Level, string Text);

/// <summary>What the overview's charts are drawn from: one value a second, the oldest first.</summary>
public sealed record StatusHistory(IReadOnlyList<double> GenerationTokensPerSecond, IReadOnlyList<double> PromptTokensPerSecond, IReadOnlyList<int> Running, IReadOnlyList<double?> TpotP50);
