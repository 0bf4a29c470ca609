namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What was measured with one length of prompts and one number of sequences.</summary>
/// <param name="Workers">Worker processes.</param>
/// <param name="Plan">The plan that was asked for; null without workers.</param>
/// <param name="Concurrency">Sequences that decode at a time.</param>
/// <param name="PromptTokens">Tokens of each prompt that was prefilled.</param>
/// <param name="GeneratedTokens">Decode steps that were timed in each run.</param>
/// <param name="PrefillTokensPerSecond">Prompt tokens over the time until the last prompt had its first token; the median of the runs.</param>
/// <param name="DecodeTokensPerSecond">Of all sequences together, in steps in which all of them decode; the median of the runs.</param>
/// <param name="WeightBytesPerToken">Weights and scales read for a decoded token, the distinct experts of a step once.</param>
/// <param name="RooflineFraction"><paramref name="WeightBytesPerToken"/> times decode tokens per second over <paramref name="ReadBandwidthGbS"/>.</param>
/// <param name="DispatchP50Us">Median time of a layer's round to the workers while decoding, computation included; null without workers.</param>
/// <param name="DispatchP99Us">Its 99th percentile.</param>
/// <param name="MemoryPeakBytes">Peak resident memory of all processes on this machine, pages that they share counted in each.</param>
public sealed record BenchmarkResult(
    int Workers, string? Plan, int Concurrency, int PromptTokens, int GeneratedTokens, double PrefillTokensPerSecond, double DecodeTokensPerSecond,
    double WeightBytesPerToken, double RooflineFraction, double? DispatchP50Us, double? DispatchP99Us, long MemoryPeakBytes)
{
    /// <summary>The 99.9th percentile of what <see cref="DispatchP50Us"/> is the median of.</summary>
    public double? DispatchP999Us { get; init; }

    /// <summary>Prompts that were prefilled together: as many as decode, or fewer where the prompts are long.</summary>
    public int PrefillSequences { get; init; }

    /// <summary>Tokens that each sequence had when its decoding was timed first.</summary>
    public int DecodeContext { get; init; }

    /// <summary>Distinct experts of a layer that a decode step reads, the mean over layers and steps.</summary>
    public double ExpertsTouchedPerLayer { get; init; }

    /// <summary>Time of a decode step, the median over all timed steps.</summary>
    public double StepP50Ms { get; init; }

    /// <summary>The 99th percentile of the same.</summary>
    public double StepP99Ms { get; init; }

    /// <summary>Every run's figure, in the order of the runs.</summary>
    public IReadOnlyList<double> PrefillRuns { get; init; } = [];

    /// <summary>Every run's figure, in the order of the runs.</summary>
    public IReadOnlyList<double> DecodeRuns { get; init; } = [];

    /// <summary>10^9 bytes a second that the machine read right before and after this result, the best pass.</summary>
    public double ReadBandwidthGbS { get; init; }

    /// <summary>10^9 int8 operations a second that the machine did right before and after this result with the widest VNNI that the kernels use; null without VNNI.</summary>
    public double? Int8PeakGopS { get; init; }

    /// <summary>The integer operations of prefill over <see cref="Int8PeakGopS"/>; null in <c>exact</c>, whose operations are float32.</summary>
    public double? PrefillPeakFraction { get; init; }
}
