using System.Text.Json.Serialization;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Completions;

/// <summary>The answer of <c>POST /v1/completions</c>, and each event of its stream.</summary>
/// <param name="Usage">Counts of tokens; not written if null.</param>
internal sealed record CompletionBody(
    string Id, string Object, long Created, string Model, IReadOnlyList<CompletionChoice> Choices, string SystemFingerprint,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] object? Usage);

/// <summary>A choice, or what an event adds to it.</summary>
/// <param name="FinishReason">Null in events before the end.</param>
/// <param name="RoutedExperts">[position][layer][k]; not written if null.</param>
internal sealed record CompletionChoice(
    string Text, int Index, LegacyLogprobs? Logprobs, string? FinishReason,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<int[][]>? RoutedExperts = null);
