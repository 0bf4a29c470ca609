using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Model.Tokenizer;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>Writes one request's answer, whole or event by event. Without a tokenizer the text is the ids.</summary>
internal sealed class CompletionAnswer(ClusterSession session, GenerationRequest request)
{
    private readonly string _id = $"cmpl-{Guid.NewGuid():N}";
    private readonly long _created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
    private readonly IncrementalDecoder? _decoder = session.Tokenizer?.CreateDecoder();

    public object Next(int token) => Make(_decoder?.Append(token) ?? $"{token} ", null, null);

    /// <summary>The last event: what the decoder held back, why it ended, usage.</summary>
    public object Last(GenerationResult result) => Make(_decoder?.Flush() ?? "", result.FinishReason, Usage(result));

    public object Whole(GenerationResult result) =>
        Make(session.Tokenizer?.Decode([.. result.Tokens]) ?? string.Join(' ', result.Tokens), result.FinishReason, Usage(result));

    private Completion Make(string text, FinishReason? reason, UsageView? usage) =>
        new(_id, "text_completion", _created, session.Store.Name, [new Choice(0, text, null, reason?.ToString().ToLowerInvariant())], usage);

    private UsageView Usage(GenerationResult result) =>
        new(request.Prompt.Count, result.Tokens.Count, request.Prompt.Count + result.Tokens.Count);

    private sealed record Completion(string Id, string Object, long Created, string Model, IReadOnlyList<Choice> Choices, UsageView? Usage);

    private sealed record Choice(int Index, string Text, object? Logprobs, string? FinishReason);

    private sealed record UsageView(int PromptTokens, int CompletionTokens, int TotalTokens);
}
