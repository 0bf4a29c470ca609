namespace Grok1Cluster.Coordinator.Bench;

/// <summary>Everything that one <c>grok1 bench</c> measured, and on what.</summary>
/// <param name="ReadBandwidthGbS">10^9 bytes a second that the machine read, the best of all passes of the run.</param>
/// <param name="Results">One for each prompt length and concurrency.</param>
public sealed record BenchmarkReport(double ReadBandwidthGbS, IReadOnlyList<BenchmarkResult> Results)
{
    /// <summary>The command line that makes this again.</summary>
    public string Command { get; init; } = "";

    /// <summary>The program's version.</summary>
    public string Version { get; init; } = "";

    /// <summary>The commit that the program was built from; null where the build did not know it.</summary>
    public string? Commit { get; init; }

    /// <summary>When it began, UTC.</summary>
    public DateTimeOffset Started { get; init; }

    /// <summary>Where it was measured, with the load before it began.</summary>
    public MachineInfo? Machine { get; init; }

    /// <summary>The model's name.</summary>
    public string Model { get; init; } = "";

    /// <summary>Number format of the expert weights.</summary>
    public string Weights { get; init; } = "";

    /// <summary>fast or exact.</summary>
    public string Precision { get; init; } = "";

    /// <summary>10^9 int8 operations a second with the widest VNNI that the kernels use, the best of the run; null without VNNI.</summary>
    public double? Int8PeakGopS { get; init; }

    /// <summary>Null unless asked for.</summary>
    public StartTimes? Start { get; init; }

    /// <summary>Round trips of messages; empty without workers.</summary>
    public IReadOnlyList<WireResult> Wire { get; init; } = [];
}
