using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Completions;

/// <summary>
/// Log-probabilities in the shape of completions: parallel arrays, the likeliest tokens as a map from text to
/// log-probability in which the token itself is always found. Offsets count characters (code points) of the choice's text.
/// </summary>
internal sealed class LegacyLogprobs
{
    public List<string> Tokens { get; } = [];

    public List<float?> TokenLogprobs { get; } = [];

    public List<Dictionary<string, float>?> TopLogprobs { get; } = [];

    public List<int> TextOffset { get; } = [];

    /// <param name="texts">Names tokens.</param>
    /// <param name="token">The token.</param>
    /// <param name="logprobs">Null for the first token of an echoed prompt, before which there is nothing.</param>
    /// <param name="offset">Where its text begins.</param>
    public void Add(TokenTexts texts, int token, TokenLogprobs? logprobs, int offset)
    {
        Tokens.Add(texts.Name(token));
        TokenLogprobs.Add(logprobs?.Logprob);
        TopLogprobs.Add(logprobs is null ? null : Map(texts, logprobs));
        TextOffset.Add(offset);
    }

    /// <summary>Characters of a text, as offsets count them.</summary>
    public static int Length(string text)
    {
        var count = 0;
        foreach (var _ in text.EnumerateRunes())
            count++;
        return count;
    }

    private static Dictionary<string, float> Map(TokenTexts texts, TokenLogprobs logprobs)
    {
        var map = new Dictionary<string, float>();
        // Of several tokens with one text the likeliest stands for it.
        foreach (var (token, logprob) in logprobs.Top)
            map.TryAdd(texts.Name(token), logprob);
        map.TryAdd(texts.Name(logprobs.Token), logprobs.Logprob);
        return map;
    }
}
