using System.Globalization;
using System.Text.Json;

namespace Grok1Cluster.Model.Config;

/// <summary>Takes numbers out of a JSON object and collects every error instead of stopping at the first.</summary>
internal sealed class ConfigJsonReader(JsonElement root)
{
    private readonly HashSet<string> _unread = [];

    public List<string> Errors { get; } = [];

    /// <summary>Properties for which 0 was returned because there was nothing fit to read.</summary>
    public IReadOnlySet<string> Unread => _unread;

    public bool Has(string key) => root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null;

    /// <summary>The integer under <paramref name="key"/> or <paramref name="otherKey"/>; if both are there they must agree.</summary>
    public int RequiredInt(string property, string key, string? otherKey = null)
    {
        if (otherKey is null || !Has(otherKey))
            return Has(key) ? Int(property, key) : Missing(property, otherKey is null ? key : $"{key} or {otherKey}");
        var other = Int(property, otherKey);
        if (Has(key) && Int(property, key) != other && !_unread.Contains(property))
            Fail(property, $"{key} and {otherKey} disagree");
        return other;
    }

    public int OptionalInt(string property, string key, int absent) => Has(key) ? Int(property, key) : absent;

    public float RequiredFloat(string property, string key) => Has(key) ? Float(property, key) : Missing(property, key);

    public float OptionalFloat(string property, string key, float absent) => Has(key) ? Float(property, key) : absent;

    public void Fail(string property, string error)
    {
        Errors.Add(error);
        Skip(property);
    }

    public void Skip(string property) => _unread.Add(property);

    private int Missing(string property, string key)
    {
        Fail(property, $"{key} is missing");
        return 0;
    }

    private int Int(string property, string key)
    {
        var value = root.GetProperty(key);
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number))
            return number;
        Fail(property, $"{key} is {Printable.OneLine(value.GetRawText())}, it must be an integer of 32 bits");
        return 0;
    }

    private float Float(string property, string key)
    {
        var value = root.GetProperty(key);
        if (value.ValueKind == JsonValueKind.Number)
            return float.Parse(value.GetRawText(), NumberStyles.Float, CultureInfo.InvariantCulture);
        Fail(property, $"{key} is {Printable.OneLine(value.GetRawText())}, it must be a number");
        return 0;
    }
}
