namespace Grok1Cluster.Client;

/// <summary>A finished completion.</summary>
/// <param name="Id">The server's name for it.</param>
/// <param name="Model">The model that wrote it.</param>
/// <param name="Choices">Of the first prompt, then of the next.</param>
/// <param name="Usage">Counts of tokens.</param>
public sealed record Completion(string Id, string Model, IReadOnlyList<CompletionChoice> Choices, CompletionUsage Usage);

/// <summary>A choice, or what a part of a stream adds to it.</summary>
/// <param name="Index">Which choice.</param>
/// <param name="Text">The text; in a stream, what was added.</param>
/// <param name="FinishReason"><c>stop</c> or <c>length</c>; null before the end.</param>
/// <param name="Logprobs">Null if not asked for, and in the last part of a stream.</param>
/// <param name="RoutedExperts">[position][layer][k], best expert first; null if not asked for.</param>
public sealed record CompletionChoice(int Index, string Text, string? FinishReason, CompletionLogprobs? Logprobs, IReadOnlyList<int[][]>? RoutedExperts);

/// <summary>Log-probabilities in parallel lists.</summary>
/// <param name="Tokens">The tokens as text.</param>
/// <param name="TokenLogprobs">Natural logarithms; null for the first token of an echoed prompt.</param>
/// <param name="TopLogprobs">The likeliest tokens, and the token itself.</param>
/// <param name="TextOffset">Where each token begins in the choice's text, in characters.</param>
public sealed record CompletionLogprobs(
    IReadOnlyList<string> Tokens, IReadOnlyList<float?> TokenLogprobs, IReadOnlyList<IReadOnlyDictionary<string, float>?> TopLogprobs, IReadOnlyList<int> TextOffset);

/// <summary>Counts of tokens.</summary>
public sealed record CompletionUsage(int PromptTokens, int CompletionTokens, int TotalTokens);

/// <summary>An event of a stream.</summary>
/// <param name="Id">The server's name for the completion.</param>
/// <param name="Model">The model that writes it.</param>
/// <param name="Choices">What was added; empty in the last event.</param>
/// <param name="Usage">In the last event, else null.</param>
public sealed record CompletionPart(string Id, string Model, IReadOnlyList<CompletionChoice> Choices, CompletionUsage? Usage);

/// <summary>A model that is served.</summary>
/// <param name="Id">Its id.</param>
/// <param name="MaxModelLen">Tokens of prompt and completion together.</param>
public sealed record ServedModel(string Id, int MaxModelLen);
