using System.Text.Json;

namespace Grok1Cluster.Coordinator.Http.Requests;

/// <summary>What is done with a field of a request.</summary>
internal enum FieldUse
{
    /// <summary>It does what it says.</summary>
    Supported,

    /// <summary>Only the values that change nothing are taken.</summary>
    Neutral,

    /// <summary>For the client's books; any value is taken and has no effect.</summary>
    Bookkeeping,

    /// <summary>Known, but not served: any value but null is refused.</summary>
    Refused,
}

/// <summary>A field of a request, as it is checked and as /openapi.json and docs/api.md describe it.</summary>
/// <param name="Name">As in JSON.</param>
/// <param name="Use">What is done with it.</param>
/// <param name="Schema">Its JSON schema, a JSON object.</param>
/// <param name="Description">A sentence; for a neutral or refused field what to do instead, if anything.</param>
internal sealed record ApiField(string Name, FieldUse Use, string Schema, string Description)
{
    /// <summary>Of a neutral field: the values beside null that are taken.</summary>
    public IReadOnlyList<JsonElement> NeutralValues { get; private init; } = [];

    public static ApiField Supported(string name, string schema, string description) => new(name, FieldUse.Supported, schema, description);

    /// <param name="values">JSON texts.</param>
    public static ApiField Neutral(string name, string schema, params string[] values) =>
        new(name, FieldUse.Neutral, schema, $"Only {string.Join(", ", values.Append("null"))}.") { NeutralValues = [.. values.Select(value => JsonElement.Parse(value))] };

    public static ApiField Bookkeeping(string name) => new(name, FieldUse.Bookkeeping, "{}", "Accepted, without effect.");

    public static ApiField Refused(string name, string instead) => new(name, FieldUse.Refused, "{}", instead);
}
