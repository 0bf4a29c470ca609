using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What to measure.</summary>
public sealed record BenchmarkOptions
{
    /// <summary>Prompt tokens that are prefilled together at most, unless one prompt is longer.</summary>
    private const int MostPrefillTokens = 2048;

    /// <summary>Of a sequence: the first to join generates while the others are prefilled.</summary>
    private const int SpareBlocks = 1;

    /// <summary>Tokens of a prompt, each at least one; a result for each. Default 512.</summary>
    public IReadOnlyList<int> Prompts { get; init; } = [512];

    /// <summary>Sequences that decode at a time; a result for each with each prompt. Default 1 and 8.</summary>
    public IReadOnlyList<int> Concurrencies { get; init; } = [1, 8];

    /// <summary>Decode steps to time in a run. Default 64.</summary>
    public int Generate { get; init; } = 64;

    /// <summary>Tokens that each sequence has before its decoding is timed. Default 16.</summary>
    public int DecodeContext { get; init; } = 16;

    /// <summary>Runs of each measurement. Default 3.</summary>
    public int Runs { get; init; } = 3;

    /// <summary>Longest sequence that these measurements need, in tokens.</summary>
    public int LongestSequence => Math.Max(Prompts.Max() + 1, DecodeContext + StepTimer.SettlingSteps + Generate + 1);

    /// <summary>Positions of KV memory that these measurements need.</summary>
    public int KvPositions => KvBlockLayout.Tokens * Math.Max(
        Concurrencies.Max() * (KvBlockPool.BlocksFor(DecodeContext + StepTimer.SettlingSteps + Generate) + SpareBlocks),
        Prompts.Max(prompt => PrefillSequences(prompt, Concurrencies.Max()) * KvBlockPool.BlocksFor(prompt + 1)));

    /// <summary>Prompts that are prefilled together: as many as are to decode, or fewer where they are long.</summary>
    public static int PrefillSequences(int prompt, int concurrency) => Math.Clamp(MostPrefillTokens / prompt, 1, concurrency);
}
