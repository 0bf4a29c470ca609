using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Scheduling;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>What happened to one choice of a request.</summary>
/// <param name="Choice">Its index.</param>
internal abstract record ChoiceEvent(int Choice);

/// <summary>The prompt has been computed: it can be echoed, with its log-probabilities.</summary>
/// <param name="Logprobs">From the second token on; empty if not asked for.</param>
internal sealed record PromptEvent(int Choice, IReadOnlyList<int> Tokens, IReadOnlyList<TokenLogprobs> Logprobs) : ChoiceEvent(Choice);

/// <summary>One more token, with the text that it adds.</summary>
internal sealed record TokenEvent(int Choice, GeneratedToken Token, string Text) : ChoiceEvent(Choice);

/// <summary>The end.</summary>
/// <param name="Text">Text that belongs to no token: the rest of a character that was never completed.</param>
/// <param name="Reason">Why it ended.</param>
/// <param name="RoutedExperts">Of the positions computed since the last token; null if not asked for.</param>
/// <param name="GeneratedTokens">Tokens up to the end, those of a stop string included.</param>
/// <param name="Times">The sequence's other counts.</param>
internal sealed record EndEvent(int Choice, string Text, FinishReason Reason, IReadOnlyList<int[]>? RoutedExperts, int GeneratedTokens, SequenceTimes Times) : ChoiceEvent(Choice);
