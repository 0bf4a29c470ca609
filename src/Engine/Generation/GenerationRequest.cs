using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Generation;

/// <summary>What to generate.</summary>
public sealed record GenerationRequest
{
    /// <summary>Token ids, at least one. Requests submitted together with the same list compute it once.</summary>
    public required IReadOnlyList<int> Prompt { get; init; }

    /// <summary>Most tokens to generate; 128 by default. 0 only runs the prompt.</summary>
    public int MaxTokens { get; init; } = 128;

    /// <summary>Before this many tokens neither the end-of-sequence token nor a stop token can be chosen. Default 0.</summary>
    public int MinTokens { get; init; }

    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Whether to go on past the end-of-sequence token.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>Tokens that end the text and are no part of it, beside the end-of-sequence token.</summary>
    public IReadOnlyList<int> StopTokens { get; init; } = [];

    /// <summary>Log-probabilities of generated tokens: null for none, else how many of the likeliest tokens beside the chosen one.</summary>
    public int? Logprobs { get; init; }

    /// <summary>The same for the prompt's tokens, from the second on. Such a prompt is computed whole, whatever the prefix cache has.</summary>
    public int? PromptLogprobs { get; init; }

    /// <summary>Whether to tell the experts that each position was routed to; then too the prompt is computed whole.</summary>
    public bool RoutedExperts { get; init; }
}

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>The model gave its end-of-sequence token, or a stop token.</summary>
    Stop,

    /// <summary>The request's limit, or the model's longest sequence, was reached.</summary>
    Length,
}

/// <summary>What was generated, and how long it took.</summary>
/// <param name="Tokens">Generated ids, without a token that ended it.</param>
/// <param name="FinishReason">Why it ended.</param>
/// <param name="Prefill">Time from the start to the first token.</param>
/// <param name="Decode">Time from the first token to the last.</param>
/// <param name="RoutedExperts">Experts of the positions computed after the last token was given; null if not asked for. See <see cref="GeneratedToken"/>.</param>
public sealed record GenerationResult(
    IReadOnlyList<int> Tokens, FinishReason FinishReason, TimeSpan Prefill, TimeSpan Decode, IReadOnlyList<int[]>? RoutedExperts);
