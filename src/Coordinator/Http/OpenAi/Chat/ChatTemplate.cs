using System.Text;
using System.Text.Json;
using Grok1Cluster.Cluster.Files;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary>One message of a chat.</summary>
/// <param name="Role">system, user or assistant.</param>
internal sealed record ChatMessage(string Role, string Content);

/// <summary>
/// How a chat becomes a prompt for a base model, which was never taught any chat format: each message by its role's
/// pattern, then what begins the answer. A file has the same five fields as JSON, with <c>{content}</c> in the patterns.
/// </summary>
public sealed record ChatTemplate
{
    private const int MaxFileBytes = 1 << 16;
    private const string Content = "{content}";

    /// <summary>Named speakers, as in a printed dialogue; the answer ends where the model begins the user's next line.</summary>
    public static readonly ChatTemplate Plain = new()
    {
        Name = "plain", System = "{content}\n\n", User = "User: {content}\n\n", Assistant = "Assistant: {content}\n\n", Generation = "Assistant:", Stop = ["\nUser:"],
    };

    /// <summary>The contents one after the other with nothing added.</summary>
    public static readonly ChatTemplate None = new() { Name = "none", System = Content, User = Content, Assistant = Content, Generation = "", Stop = [] };

    /// <summary><c>plain</c>, <c>none</c>, or the file's name.</summary>
    public required string Name { get; init; }

    public required string System { get; init; }

    public required string User { get; init; }

    public required string Assistant { get; init; }

    /// <summary>Put after the last message.</summary>
    public required string Generation { get; init; }

    /// <summary>Strings that end the answer, beside those of the request.</summary>
    public required IReadOnlyList<string> Stop { get; init; }

    /// <param name="name"><c>plain</c>, <c>none</c> or a path.</param>
    /// <exception cref="FormatException">The file is missing or not a template.</exception>
    public static ChatTemplate Parse(string name) => name switch
    {
        "plain" => Plain,
        "none" => None,
        _ => Load(name),
    };

    internal string Apply(IReadOnlyList<ChatMessage> messages)
    {
        var prompt = new StringBuilder();
        foreach (var message in messages)
            prompt.Append(PatternOf(message.Role).Replace(Content, message.Content, StringComparison.Ordinal));
        return prompt.Append(Generation).ToString();
    }

    private static ChatTemplate Load(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxFileBytes)
                throw new FormatException($"{path} is larger than {MaxFileBytes} bytes");
            var fields = Parse(path, File.ReadAllBytes(path));
            string[] patterns = [fields.System, fields.User, fields.Assistant];
            if (!patterns.All(pattern => pattern.Contains(Content, StringComparison.Ordinal)))
                throw new FormatException($"{path}: system, user and assistant must each contain {Content}");
            if (fields.Stop is { } stops && stops.Any(string.IsNullOrEmpty))
                throw new FormatException($"{path}: stop has an empty string");
            return new ChatTemplate
            {
                Name = Path.GetFileName(path), System = fields.System, User = fields.User, Assistant = fields.Assistant, Generation = fields.Generation, Stop = fields.Stop ?? [],
            };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FormatException($"{path} cannot be read: {e.Message}", e);
        }
    }

    private static Fields Parse(string path, ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<Fields>(json, FileOptions) ?? throw new JsonException();
        }
        catch (JsonException e)
        {
            throw new FormatException($"{path} is not a chat template: {JsonShape.Explain<Fields>(json, FileOptions, e)}", e);
        }
    }

    private string PatternOf(string role) => role switch
    {
        "system" => System,
        "user" => User,
        _ => Assistant,
    };

    private static readonly JsonSerializerOptions FileOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = global::System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
    };

    private sealed record Fields
    {
        public required string System { get; init; }

        public required string User { get; init; }

        public required string Assistant { get; init; }

        public required string Generation { get; init; }

        public IReadOnlyList<string>? Stop { get; init; }
    }
}
