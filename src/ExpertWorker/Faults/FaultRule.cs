namespace Grok1Cluster.ExpertWorker.Faults;

/// <summary>One thing to do wrong, and in which calls.</summary>
public sealed record FaultRule
{
    public required FaultKind Kind { get; init; }

    /// <summary>Of a delay or a stall: how long; null: by <see cref="Factor"/>, or for ever.</summary>
    public TimeSpan? Time { get; init; }

    /// <summary>Of a delay: the computation takes so many times as long. 1 or more; null: <see cref="Time"/> is added.</summary>
    public double? Factor { get; init; }

    /// <summary>The first so many calls are left alone. Default 0.</summary>
    public long After { get; init; }

    /// <summary>Of the calls after that, each so many-th. Default 1.</summary>
    public long Every { get; init; } = 1;

    /// <summary>At most so often. Default without end; 1 for a stall.</summary>
    public long Times { get; init; } = long.MaxValue;

    /// <summary>Of those, this share by chance. Above 0, at most 1; default 1.</summary>
    public double Chance { get; init; } = 1;

    /// <summary>Only in the worker of this id; null: in every worker that is given the rule.</summary>
    public string? Worker { get; init; }
}
