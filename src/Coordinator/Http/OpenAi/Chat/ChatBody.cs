using System.Text.Json.Serialization;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>The answer of <c>POST /v1/chat/completions</c>, and each event of its stream.</summary>
/// <param name="Choices">Whole choices, or in a stream what is added to them.</param>
/// <param name="Usage">Counts of tokens; not written if null.</param>
internal sealed record ChatBody<TChoice>(
    string Id, string Object, long Created, string Model, IReadOnlyList<TChoice> Choices, string SystemFingerprint,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] object? Usage);

internal sealed record ChatChoice(
    int Index, ChatAnswerMessage Message, ChatLogprobs? Logprobs, string FinishReason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<int[][]>? RoutedExperts);

internal sealed record ChatAnswerMessage(string Role, string Content, string? Refusal);

/// <param name="FinishReason">Null in events before the end.</param>
internal sealed record ChatChunkChoice(
    int Index, ChatDelta Delta, ChatLogprobs? Logprobs, string? FinishReason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<int[][]>? RoutedExperts);

/// <summary>What an event adds; what is null is not written.</summary>
internal sealed record ChatDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content);
