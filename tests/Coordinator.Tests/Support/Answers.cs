using System.Text.Json;

namespace Grok1Cluster.Coordinator.Tests.Support;

/// <summary>Short ways into answers.</summary>
internal static class Answers
{
    public static JsonElement Choice(this JsonElement answer, int index = 0) => answer.GetProperty("choices")[index];

    public static string Text(this JsonElement choice) => choice.GetProperty("text").GetString()!;

    public static string? Reason(this JsonElement choice) => choice.GetProperty("finish_reason").GetString();

    public static int Usage(this JsonElement answer, string name) => answer.GetProperty("usage").GetProperty(name).GetInt32();

    public static string[] Tokens(this JsonElement choice) => [.. choice.GetProperty("logprobs").GetProperty("tokens").EnumerateArray().Select(token => token.GetString()!)];

    public static double?[] Logprobs(this JsonElement choice) =>
        [.. choice.GetProperty("logprobs").GetProperty("token_logprobs").EnumerateArray().Select(value => value.ValueKind == JsonValueKind.Null ? (double?)null : value.GetDouble())];

    /// <summary>What the events of one choice add up to.</summary>
    public static string StreamedText(this IReadOnlyList<JsonElement> events, int choice = 0) =>
        string.Concat(events.SelectMany(item => item.GetProperty("choices").EnumerateArray()).Where(part => part.GetProperty("index").GetInt32() == choice).Select(part => part.Text()));
}
