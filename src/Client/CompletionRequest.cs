namespace Grok1Cluster.Client;

/// <summary>A completion to ask for. What is null is not sent, and the server's default holds; docs/api.md describes every field.</summary>
public sealed record CompletionRequest
{
    /// <summary>What to continue.</summary>
    public required Prompt Prompt { get; init; }

    /// <summary>The model's id; the server has one, so it may be left out.</summary>
    public string? Model { get; init; }

    /// <summary>Most tokens to generate; the server's default is 16. 0 with <see cref="Echo"/> and <see cref="Logprobs"/> scores the prompt.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>Before so many tokens nothing ends the text.</summary>
    public int? MinTokens { get; init; }

    /// <summary>0 to 2; 0 is greedy, the server's default is 1.</summary>
    public float? Temperature { get; init; }

    /// <summary>Above 0, at most 1.</summary>
    public float? TopP { get; init; }

    /// <summary>So many of the likeliest tokens remain; 0 keeps all.</summary>
    public int? TopK { get; init; }

    /// <summary>0 to 1.</summary>
    public float? MinP { get; init; }

    /// <summary>Above 0; 1 is none.</summary>
    public float? RepetitionPenalty { get; init; }

    /// <summary>-2 to 2.</summary>
    public float? PresencePenalty { get; init; }

    /// <summary>-2 to 2.</summary>
    public float? FrequencyPenalty { get; init; }

    /// <summary>Token id to -100 to 100.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    /// <summary>Makes sampling repeatable.</summary>
    public long? Seed { get; init; }

    /// <summary>Strings that end the text and are no part of it.</summary>
    public IReadOnlyList<string>? Stop { get; init; }

    /// <summary>Tokens that end the text and are no part of it.</summary>
    public IReadOnlyList<int>? StopTokenIds { get; init; }

    /// <summary>Goes on after the end-of-sequence token.</summary>
    public bool? IgnoreEos { get; init; }

    /// <summary>Choices for each prompt.</summary>
    public int? N { get; init; }

    /// <summary>The prompt comes back before the completion.</summary>
    public bool? Echo { get; init; }

    /// <summary>Log-probabilities of the tokens and of so many likeliest ones.</summary>
    public int? Logprobs { get; init; }

    /// <summary>Asks for the experts of every position.</summary>
    public bool? ReturnRoutedExperts { get; init; }
}
