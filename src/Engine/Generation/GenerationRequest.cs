using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Generation;

/// <summary>What to generate.</summary>
public sealed record GenerationRequest
{
    /// <summary>Token ids, at least one.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    /// <summary>Most tokens to generate; 128 by default.</summary>
    public int MaxTokens { get; init; } = 128;

    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Whether to go on past the end-of-sequence token.</summary>
    public bool IgnoreEos { get; init; }
}

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>The model gave its end-of-sequence token.</summary>
    Stop,

    /// <summary>The request's limit, or the model's longest sequence, was reached.</summary>
    Length,
}

/// <summary>What was generated, and how long it took.</summary>
/// <param name="Tokens">Generated ids, without an end-of-sequence token that ended it.</param>
/// <param name="FinishReason">Why it ended.</param>
/// <param name="Prefill">Time from the start to the first token.</param>
/// <param name="Decode">Time from the first token to the last.</param>
public sealed record GenerationResult(IReadOnlyList<int> Tokens, FinishReason FinishReason, TimeSpan Prefill, TimeSpan Decode);
