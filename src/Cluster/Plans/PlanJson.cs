using System.Text.Json;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// A plan as JSON, the same in a plan file and from <c>/cluster/plan</c>:
/// <c>{epoch, model, cuts:[0,...,FeedForwardDim], bundles:[{layer, tiles:[[expert,slice],...], workers:[id,...]}]}</c>.
/// </summary>
public static class PlanJson
{
    /// <summary>Object, bundles, bundle, tiles, pair: nothing in a plan nests deeper.</summary>
    private const int MaxDepth = 5;

    private static readonly JsonSerializerOptions Compact = new(JsonSerializerOptions.Strict)
    {
        MaxDepth = MaxDepth,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    /// <summary>UTF-8 text with one bundle a line, for people to edit and for tools to compare.</summary>
    public static byte[] Serialize(Plan plan)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteNumber("epoch", plan.Epoch);
            writer.WriteString("model", plan.Model);
            writer.WritePropertyName("cuts");
            writer.WriteRawValue(JsonSerializer.SerializeToUtf8Bytes(plan.Cuts, Compact));
            writer.WriteStartArray("bundles");
            foreach (var bundle in plan.Bundles)
                writer.WriteRawValue(JsonSerializer.SerializeToUtf8Bytes(ToDocument(bundle), Compact));
            writer.WriteEndArray();
            writer.WriteEndObject();
        }
        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    /// <summary>Reads the shape only; whether it is a plan for some geometry is for <see cref="PlanValidator"/> to say.</summary>
    /// <exception cref="JsonException">Not JSON, a field unknown, missing or twice, a wrong type, or nested too deep.</exception>
    internal static PlanDocument Parse(ReadOnlySpan<byte> utf8) =>
        JsonSerializer.Deserialize<PlanDocument>(utf8, Compact) ?? throw new JsonException("the document is null, not a plan");

    private static BundleDocument ToDocument(Bundle bundle) =>
        new(bundle.Layer, [.. bundle.Tiles.Select(tile => new[] { tile.Expert, tile.Slice })], [.. bundle.Workers]);
}

/// <summary>A plan as it stands in JSON, before any check but those of shape.</summary>
internal sealed record PlanDocument(long Epoch, string Model, int[] Cuts, BundleDocument?[] Bundles);

/// <param name="Tiles">Pairs of expert and slice.</param>
internal sealed record BundleDocument(int Layer, int[]?[] Tiles, string?[] Workers);
