namespace Grok1Cluster.Engine.Generation;

/// <summary>A token as it is handed out.</summary>
/// <param name="Id">The token.</param>
/// <param name="Logprobs">Its log-probability and the likeliest tokens; null if not asked for.</param>
/// <param name="RoutedExperts">
/// One array a position computed since the token before (with the first token: the whole prompt), each [layers, k] row by
/// row, best expert first; null if not asked for.
/// </param>
public readonly record struct GeneratedToken(int Id, TokenLogprobs? Logprobs, IReadOnlyList<int[]>? RoutedExperts);

/// <summary>A token and the natural logarithm of its probability.</summary>
public readonly record struct TokenLogprob(int Token, float Logprob);

/// <summary>What the model thought of a token, before any sampling setting: log softmax of its logits.</summary>
/// <param name="Token">The token that came.</param>
/// <param name="Logprob">Its log-probability.</param>
/// <param name="Top">The likeliest tokens, best first, the lower id first among equals.</param>
public sealed record TokenLogprobs(int Token, float Logprob, IReadOnlyList<TokenLogprob> Top);
