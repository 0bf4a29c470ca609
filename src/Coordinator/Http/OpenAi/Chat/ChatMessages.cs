using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.Requests;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>Reads <c>messages</c>.</summary>
internal static class ChatMessages
{
    public static readonly ApiField Field = Supported("messages", """{"type":"array","minItems":1,"items":{"type":"object","required":["role","content"],"properties":{"role":{"enum":["system","developer","user","assistant"]},"content":{"oneOf":[{"type":"string"},{"type":"array","items":{"type":"object"}}]}}}}""",
        "The chat so far; contents are texts.");

    private static readonly IReadOnlyList<ApiField> MessageFields =
    [
        Supported("role", "{}", ""), Supported("content", "{}", ""), Refused("name", "the template has no place for it"), Refused("tool_calls", "there are no tools"), Refused("tool_call_id", "there are no tools"),
        Refused("function_call", "there are no tools"), Refused("refusal", ""), Refused("audio", ""), Refused("annotations", ""),
    ];

    private static readonly IReadOnlyList<ApiField> PartFields = [Supported("type", "{}", ""), Supported("text", "{}", "")];

    /// <exception cref="ApiException">There are none, too many, or one is not a message with text.</exception>
    public static IReadOnlyList<ChatMessage> Read(RequestFields fields, ApiLimits limits)
    {
        if (!fields.TryGet("messages", out var value))
            throw new ApiException("messages is missing; give at least one", "messages");
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
            throw new ApiException("messages must be an array with at least one message", "messages");
        if (value.GetArrayLength() > limits.Messages)
            throw new ApiException($"there are {value.GetArrayLength()} messages, at most {limits.Messages} are taken", "messages");
        var messages = new List<ChatMessage>();
        foreach (var item in value.EnumerateArray())
            messages.Add(ReadMessage(item, $"messages[{messages.Count}]"));
        return messages;
    }

    private static ChatMessage ReadMessage(JsonElement item, string where)
    {
        if (item.ValueKind != JsonValueKind.Object)
            throw new ApiException($"{where} must be an object, not {RequestFields.Shown(item)}", "messages");
        var message = new RequestFields(item, MessageFields);
        var role = message.Text("role") ?? throw new ApiException($"{where}.role is missing", "messages");
        if (role is not ("system" or "developer" or "user" or "assistant"))
            throw new ApiException($"{where}.role must be system, developer, user or assistant", "messages");
        if (!message.TryGet("content", out var content))
            throw new ApiException($"{where}.content is missing", "messages");
        var text = content.ValueKind == JsonValueKind.Array
            ? string.Concat(content.EnumerateArray().Select((part, i) => ReadPart(part, $"{where}.content[{i}]")))
            : RequestFields.TextOf(content, $"{where}.content");
        return new ChatMessage(role == "developer" ? "system" : role, text);
    }

    private static string ReadPart(JsonElement item, string where)
    {
        if (item.ValueKind != JsonValueKind.Object)
            throw new ApiException($"{where} must be an object, not {RequestFields.Shown(item)}", "messages");
        if (!item.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || !type.ValueEquals("text"))
            throw new ApiException($"{where} is not of type text: the model reads text alone", "messages");
        return new RequestFields(item, PartFields).Text("text") ?? throw new ApiException($"{where}.text is missing", "messages");
    }
}
