namespace Grok1Cluster.Engine.Speculation;

/// <summary>
/// Guesses the next tokens from the text itself: where its last tokens occurred before, what followed then is likely to
/// follow again (prompt lookup decoding, A. Saxena 2023). Needs no second model. The guesses are computed beside the last
/// token in one step and kept as far as they are what sampling chooses, so that they change the speed and nothing else.
/// </summary>
internal static class PromptLookup
{
    /// <summary>The longest and the shortest run of tokens that is looked for.</summary>
    private const int LongestMatch = 4, ShortestMatch = 2;

    /// <summary>Writes what followed the latest earlier occurrence of the last tokens, the longest match first.</summary>
    /// <param name="tokens">The sequence.</param>
    /// <param name="drafts">Overwritten from its start.</param>
    /// <returns>Drafts written; 0 where the last tokens are new.</returns>
    public static int Draft(ReadOnlySpan<int> tokens, Span<int> drafts)
    {
        for (var length = Math.Min(LongestMatch, tokens.Length - 1); length >= ShortestMatch; length--)
        {
            var found = tokens[..^1].LastIndexOf(tokens[^length..]);
            if (found < 0)
                continue;
            var following = tokens[(found + length)..];
            var count = Math.Min(following.Length, drafts.Length);
            following[..count].CopyTo(drafts);
            return count;
        }
        return 0;
    }
}
