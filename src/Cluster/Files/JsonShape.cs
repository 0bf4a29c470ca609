using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Grok1Cluster.Cluster.Files;

/// <summary>
/// Says to people why JSON could not be read as what it should be: which member is wrong and what is expected. The serializer's own
/// messages name types of this program instead.
/// </summary>
public static class JsonShape
{
    private const int MaxNameLength = 60;

    /// <summary>One phrase for the first member that is wrong.</summary>
    /// <param name="utf8">What was refused.</param>
    /// <param name="options">What it was read with.</param>
    /// <param name="fault">How it was refused.</param>
    /// <typeparam name="T">What it should be.</typeparam>
    public static string Explain<T>(ReadOnlySpan<byte> utf8, JsonSerializerOptions options, JsonException fault)
    {
        try
        {
            using var document = JsonDocument.Parse(utf8.ToArray(), new JsonDocumentOptions { MaxDepth = options.MaxDepth, AllowDuplicateProperties = options.AllowDuplicateProperties });
            return Problem(document.RootElement, typeof(T), options, "") ?? $"{Place(fault.Path?.TrimStart('$', '.') ?? "")} is not what is expected there";
        }
        // What is no JSON at all the parser tells in its own words; half a surrogate pair in a name it reports as an invalid operation.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return $"it is not valid JSON: {e.Message}";
        }
    }

    /// <summary>What is wrong with a value or below it; null: nothing that is known here.</summary>
    private static string? Problem(JsonElement value, Type type, JsonSerializerOptions options, string path)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        var info = options.GetTypeInfo(type);
        var (fits, expected) = info.Kind switch
        {
            JsonTypeInfoKind.Object => (value.ValueKind == JsonValueKind.Object, $"an object with {Names(info)}"),
            JsonTypeInfoKind.Enumerable => (value.ValueKind == JsonValueKind.Array, "a list"),
            _ => Scalar(value, type),
        };
        if (!fits)
            return $"{Place(path)} is {Kind(value)}, expected is {expected}";
        return info.Kind switch
        {
            JsonTypeInfoKind.Object => Members(value, info, options, path),
            JsonTypeInfoKind.Enumerable => value.EnumerateArray().Index()
                .Select(item => item.Item.ValueKind == JsonValueKind.Null && !info.ElementType!.IsValueType ? null : Problem(item.Item, info.ElementType!, options, $"{path}[{item.Index}]"))
                .FirstOrDefault(problem => problem is not null),
            _ => null,
        };
    }

    private static string? Members(JsonElement value, JsonTypeInfo info, JsonSerializerOptions options, string path)
    {
        var unmapped = info.UnmappedMemberHandling ?? options.UnmappedMemberHandling;
        foreach (var member in value.EnumerateObject())
        {
            var below = path.Length == 0 ? Short(member.Name) : $"{path}.{Short(member.Name)}";
            if (info.Properties.FirstOrDefault(property => property.Name == member.Name) is not { } known)
            {
                if (unmapped == JsonUnmappedMemberHandling.Disallow)
                    return $"{below} is not known, expected are {Names(info)}";
            }
            else if (!(member.Value.ValueKind == JsonValueKind.Null && TakesNull(known)) && Problem(member.Value, known.PropertyType, options, below) is { } problem)
                return problem;
        }
        var missing = info.Properties.Where(property => IsRequired(property, options) && !value.TryGetProperty(property.Name, out _)).Select(property => property.Name).ToList();
        return missing.Count > 0 ? $"{Place(path)} lacks {string.Join(", ", missing)}" : null;
    }

    private static (bool Fits, string Expected) Scalar(JsonElement value, Type type)
    {
        var isNumber = value.ValueKind == JsonValueKind.Number;
        if (type == typeof(string))
            return (value.ValueKind == JsonValueKind.String, "a text");
        if (type == typeof(bool))
            return (value.ValueKind is JsonValueKind.True or JsonValueKind.False, "true or false");
        if (type == typeof(int))
            return (isNumber && value.TryGetInt32(out _), $"a whole number of at most {int.MaxValue}");
        if (type == typeof(long))
            return (isNumber && value.TryGetInt64(out _), "a whole number");
        if (type == typeof(double))
            return (isNumber, "a number");
        if (type == typeof(DateTimeOffset))
            return (value.ValueKind == JsonValueKind.String && value.TryGetDateTimeOffset(out _), "a time such as 2026-01-31T12:00:00Z");
        return (true, "");
    }

    private static bool TakesNull(JsonPropertyInfo property) => Nullable.GetUnderlyingType(property.PropertyType) is not null
        || !property.PropertyType.IsValueType && (property.AssociatedParameter?.IsNullable ?? property.IsSetNullable);

    private static bool IsRequired(JsonPropertyInfo property, JsonSerializerOptions options) =>
        property.IsRequired || options.RespectRequiredConstructorParameters && property.AssociatedParameter is { HasDefaultValue: false };

    private static string Names(JsonTypeInfo info) => string.Join(", ", info.Properties.Select(property => property.Name));

    private static string Place(string path) => path.Length == 0 ? "the whole" : path;

    /// <summary>Names come from whoever wrote the JSON.</summary>
    private static string Short(string name) => name.Length <= MaxNameLength ? name : $"{name.AsSpan(0, MaxNameLength)}...";

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => $"the number {Short(value.GetRawText())}",
        var kind => kind.ToString().ToLowerInvariant(),
    };
}
