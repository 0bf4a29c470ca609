using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grok1Cluster.Cluster.Files;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>
/// A plan as JSON, the same in a plan file and from <c>/cluster/plan</c>:
/// <c>{epoch, model, cuts:[0,...,FeedForwardDim], bundles:[{layer, tiles:[[expert,slice],...], workers:[id,...]}]}</c>;
/// a bundle may have <c>cold:[id,...]</c> as well.
/// </summary>
public static class PlanJson
{
    /// <summary>Object, bundles, bundle, tiles, pair: nothing in a plan nests deeper.</summary>
    private const int MaxDepth = 5;

    private static readonly JsonSerializerOptions Compact = new(JsonSerializerOptions.Strict)
    {
        MaxDepth = MaxDepth,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };

    /// <summary>UTF-8 text with one bundle a line, for people to edit and for tools to compare.</summary>
    public static byte[] Serialize(Plan plan)
    {
        var text = new StringBuilder()
            .Append("{\n")
            .Append($"  \"epoch\": {plan.Epoch},\n")
            .Append($"  \"model\": {JsonSerializer.Serialize(plan.Model)},\n")
            .Append($"  \"cuts\": {JsonSerializer.Serialize(plan.Cuts)},\n")
            .Append("  \"bundles\": [\n    ")
            .AppendJoin(",\n    ", plan.Bundles.Select(bundle => JsonSerializer.Serialize(ToDocument(bundle), Compact)))
            .Append("\n  ]\n}\n");
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>Reads a plan and checks that it covers the geometry exactly once.</summary>
    /// <param name="name">What is read, for messages.</param>
    /// <param name="knownWorkers">When given, the only workers that the plan may name.</param>
    /// <exception cref="PlanException">It is malformed (the first fault and its place are named), or does not fit (every fault is named).</exception>
    public static Plan Read(ReadOnlySpan<byte> utf8, PlanGeometry geometry, string name, IReadOnlyCollection<string>? knownWorkers = null)
    {
        PlanDocument document;
        try
        {
            document = Parse(utf8);
        }
        catch (JsonException e)
        {
            throw new PlanException($"{name} is malformed", JsonShape.Explain<PlanDocument>(utf8, Compact, e), e);
        }
        var problems = PlanValidator.Check(document, geometry, knownWorkers);
        if (problems.Count > 0)
            throw new PlanException($"{name} does not fit model {geometry.Model}", problems);
        return ToPlan(document);
    }

    /// <summary>Reads the shape only; whether it is a plan for some geometry is for <see cref="PlanValidator"/> to say.</summary>
    /// <exception cref="JsonException">Not JSON, a field unknown, missing or twice, a wrong type, or nested too deep.</exception>
    internal static PlanDocument Parse(ReadOnlySpan<byte> utf8) =>
        JsonSerializer.Deserialize<PlanDocument>(utf8, Compact) ?? throw new JsonException("the document is null, not a plan");

    private static Plan ToPlan(PlanDocument document) => new(
        document.Epoch,
        document.Model,
        [.. document.Cuts],
        [.. document.Bundles.Select(bundle => new Bundle(
            bundle!.Layer,
            [.. bundle.Tiles.Select(pair => new TileId(bundle.Layer, pair![0], pair[1]))],
            [.. bundle.Workers!])
        {
            Cold = [.. (bundle.Cold ?? [])!],
        })]);

    private static BundleDocument ToDocument(Bundle bundle) =>
        new(bundle.Layer, [.. bundle.Tiles.Select(tile => new[] { tile.Expert, tile.Slice })], [.. bundle.Workers], bundle.Cold.IsEmpty ? null : [.. bundle.Cold]);
}

/// <summary>A plan as it stands in JSON, before any check but those of shape.</summary>
internal sealed record PlanDocument(long Epoch, string Model, int[] Cuts, BundleDocument?[] Bundles);

/// <param name="Tiles">Pairs of expert and slice.</param>
internal sealed record BundleDocument(int Layer, int[]?[] Tiles, string?[] Workers, string?[]? Cold = null);
