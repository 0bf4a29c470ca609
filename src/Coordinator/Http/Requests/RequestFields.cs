using System.Text.Json;
using Grok1Cluster.Coordinator.Http.Errors;

namespace Grok1Cluster.Coordinator.Http.Requests;

/// <summary>The fields of one request: unknown ones are refused by name, known ones read with their type and range. Null counts as absent.</summary>
internal sealed class RequestFields
{
    private readonly JsonElement _body;

    /// <exception cref="ApiException">A field is unknown or not supported, or has a value that would change the output and is not served.</exception>
    public RequestFields(JsonElement body, IReadOnlyList<ApiField> known)
    {
        _body = body;
        foreach (var property in body.EnumerateObject())
        {
            var name = NameOf(property);
            var field = known.FirstOrDefault(field => field.Name == name) ?? throw Refused($"{name} is not a field of this request", name, "unknown_field");
            if (property.Value.ValueKind == JsonValueKind.Null)
                continue;
            if (field.Use == FieldUse.Refused)
                throw Refused($"{name} is not supported{(field.Description.Length > 0 ? $": {field.Description}" : "")}", name, "unsupported_field");
            if (field.Use == FieldUse.Neutral && !field.NeutralValues.Any(value => JsonElement.DeepEquals(value, property.Value)))
                throw Refused($"{name} is not supported with this value; leave it out, or send {string.Join(" or ", field.NeutralValues.Select(value => value.GetRawText()))}", name, "unsupported_value");
        }
    }

    /// <summary>A field that is there and not null.</summary>
    public bool TryGet(string name, out JsonElement value) => _body.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    public string? Text(string name) => TryGet(name, out var value) ? TextOf(value, name) : null;

    public bool Flag(string name) => TryGet(name, out var value) && value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new ApiException($"{name} must be true or false", name),
    };

    public int? Integer(string name, int min, int max)
    {
        if (!TryGet(name, out var value))
            return null;
        if (!IsInteger(value, out var number) || number < min || number > max)
            throw new ApiException($"{name} must be {(max == int.MaxValue ? $"a whole number of {min} or more" : $"a whole number from {min} to {max}")}, not {Shown(value)}", name);
        return (int)number;
    }

    public long? Long(string name)
    {
        if (!TryGet(name, out var value))
            return null;
        return IsInteger(value, out var number) ? number : throw new ApiException($"{name} must be a whole number of 64 bits, not {Shown(value)}", name);
    }

    public float? Number(string name, float min, float max)
    {
        if (!TryGet(name, out var value))
            return null;
        return NumberOf(value, name, min, max);
    }

    public static float NumberOf(JsonElement value, string name, float min, float max)
    {
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetSingle(out var number) || !(number >= min && number <= max))
            throw new ApiException($"{name} must be a number from {min} to {max}, not {Shown(value)}", name);
        return number;
    }

    /// <summary>The text of a JSON string.</summary>
    /// <exception cref="ApiException">It is no string, or has half of a surrogate pair.</exception>
    public static string TextOf(JsonElement value, string name)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw new ApiException($"{name} must be a string, not {Shown(value)}", name);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new ApiException($"{name} is not valid Unicode: it has half of a surrogate pair", name);
        }
    }

    /// <summary>Token ids, each checked against the vocabulary.</summary>
    public static int[] TokensOf(JsonElement value, string name, int vocabularySize)
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw new ApiException($"{name} must be an array of token ids, not {Shown(value)}", name);
        var ids = new int[value.GetArrayLength()];
        var count = 0;
        foreach (var item in value.EnumerateArray())
            ids[count] = TokenOf(item, $"{name}[{count++}]", name, vocabularySize);
        return ids;
    }

    /// <summary>A value as a message may show it: short.</summary>
    public static string Shown(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        _ when value.GetRawText() is { Length: <= 32 } text => text,
        _ => "so long a number",
    };

    private static int TokenOf(JsonElement item, string where, string name, int vocabularySize)
    {
        if (!IsInteger(item, out var id))
            throw new ApiException($"{where} is not a token id", name);
        if (id < 0 || id >= vocabularySize)
            throw new ApiException($"{where} is {id}, outside the vocabulary of {vocabularySize}", name);
        return (int)id;
    }

    private static bool IsInteger(JsonElement value, out long number)
    {
        number = 0;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out number);
    }

    private static string NameOf(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            throw Refused("the name of a field is not valid Unicode", null, "unknown_field");
        }
    }

    private static ApiException Refused(string message, string? name, string code) => new(message, name is { Length: > 64 } ? name[..64] : name) { Code = code };
}
