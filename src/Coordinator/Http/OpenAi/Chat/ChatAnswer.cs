using System.Text.Json;
using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>Tells what happened to the choices of a chat: event by event, or whole at the end.</summary>
internal sealed class ChatAnswer(ServedModel model, ChatRequest request)
{
    private static readonly JsonElement NoUsageYet = JsonElement.Parse("null");

    private readonly string _id = $"chatcmpl-{Guid.NewGuid():N}";
    private readonly long _created = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
    private readonly UsageCounter _usage = new(request.Generation.Choices);

    /// <summary>The events of a stream that tell what happened.</summary>
    public IEnumerable<object> Event(ChoiceEvent happened)
    {
        switch (happened)
        {
            case PromptEvent prompt:
                return [Chunk(new ChatChunkChoice(prompt.Choice, new ChatDelta("assistant", ""), null, null, null))];
            case TokenEvent token:
                var logprobs = token.Token.Logprobs is { } known ? ChatLogprobs.Of([known], model.Texts) : null;
                return [Chunk(new ChatChunkChoice(token.Choice, new ChatDelta(null, token.Text), logprobs, null, RoutedExperts.ByLayer(token.Token.RoutedExperts, model.Config)))];
            case EndEvent end:
                _usage.Add(end);
                return [Chunk(new ChatChunkChoice(end.Choice, new ChatDelta(null, end.Text.Length > 0 ? end.Text : null), null, ReasonOf(end), RoutedExperts.ByLayer(end.RoutedExperts, model.Config)))];
            default:
                throw new ArgumentException($"{happened.GetType().Name} is not told", nameof(happened));
        }
    }

    /// <summary>The last event, with the counts, if asked for.</summary>
    public object? LastEvent() =>
        request.Generation.IncludeUsage ? Body<ChatChunkChoice>("chat.completion.chunk", [], _usage.Usage) : null;

    /// <summary>Everything in one body.</summary>
    public async Task<object> WholeAsync(IAsyncEnumerable<ChoiceEvent> events)
    {
        var all = new List<ChoiceEvent>();
        await foreach (var happened in events)
            all.Add(happened);
        foreach (var end in all.OfType<EndEvent>())
            _usage.Add(end);
        return Body<ChatChoice>("chat.completion", [.. all.GroupBy(happened => happened.Choice).OrderBy(choice => choice.Key).Select(choice => Whole(choice.Key, [.. choice]))], _usage.Usage);
    }

    private ChatChoice Whole(int index, IReadOnlyList<ChoiceEvent> events)
    {
        var tokens = events.OfType<TokenEvent>().ToArray();
        var end = (EndEvent)events[^1];
        var logprobs = request.Logprobs is null ? null : ChatLogprobs.Of(tokens.Select(token => token.Token.Logprobs!), model.Texts);
        var experts = request.Generation.RoutedExperts ? tokens.SelectMany(token => token.Token.RoutedExperts ?? []).Concat(end.RoutedExperts ?? []) : null;
        return new ChatChoice(
            index, new ChatAnswerMessage("assistant", string.Concat(tokens.Select(token => token.Text)) + end.Text, null), logprobs, ReasonOf(end), RoutedExperts.ByLayer(experts, model.Config));
    }

    private static string ReasonOf(EndEvent end) => end.Reason == FinishReason.Stop ? "stop" : "length";

    private ChatBody<ChatChunkChoice> Chunk(ChatChunkChoice choice) => Body<ChatChunkChoice>("chat.completion.chunk", [choice], request.Generation.IncludeUsage ? NoUsageYet : null);

    private ChatBody<TChoice> Body<TChoice>(string kind, IReadOnlyList<TChoice> choices, object? usage) =>
        new(_id, kind, _created, model.Id, choices, model.Fingerprint, usage);
}
