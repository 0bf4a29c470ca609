namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>Token counts of a request, as OpenAI's <c>usage</c>.</summary>
internal sealed record Usage(int PromptTokens, int CompletionTokens, int TotalTokens, PromptTokensDetails PromptTokensDetails);

/// <param name="CachedTokens">Prompt tokens that were not computed again.</param>
internal sealed record PromptTokensDetails(int CachedTokens);

/// <summary>Counts the tokens of a request: a prompt once, however many choices it has.</summary>
/// <param name="choices">Choices for each prompt.</param>
internal sealed class UsageCounter(int choices)
{
    private int _prompt;
    private int _cached;
    private int _generated;

    public Usage Usage => new(_prompt, _generated, _prompt + _generated, new PromptTokensDetails(_cached));

    public void Add(EndEvent end)
    {
        _generated += end.GeneratedTokens;
        if (end.Choice % choices != 0)
            return;
        _prompt += end.Times.PromptTokens;
        _cached += end.Times.CachedTokens;
    }
}
