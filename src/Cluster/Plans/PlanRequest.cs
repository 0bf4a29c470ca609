namespace Grok1Cluster.Cluster.Plans;

/// <summary>How experts are dealt to workers.</summary>
public enum PlanKind
{
    /// <summary>The planner chooses the cut that the cost model predicts to be fastest at the expected number of sequences.</summary>
    Auto,

    /// <summary>Whole experts, dealt over all layers; faster workers get more.</summary>
    Whole,

    /// <summary>Every worker holds one slice of every expert.</summary>
    Sliced,

    /// <summary>As a plan file says.</summary>
    File,
}

/// <summary>What the user asked for with <c>--plan</c>.</summary>
/// <param name="FilePath">The plan file of <see cref="PlanKind.File"/>; null for the other kinds.</param>
public sealed record PlanRequest(PlanKind Kind, string? FilePath = null)
{
    public static PlanRequest Auto { get; } = new(PlanKind.Auto);

    /// <summary>Reads <c>auto</c>, <c>whole</c>, <c>sliced</c>; anything else is the path of a plan file.</summary>
    public static PlanRequest Parse(string text) => text switch
    {
        "auto" => Auto,
        "whole" => new(PlanKind.Whole),
        "sliced" => new(PlanKind.Sliced),
        _ => new(PlanKind.File, text),
    };

    public override string ToString() => FilePath ?? Kind.ToString().ToLowerInvariant();
}
