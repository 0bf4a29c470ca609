using System.Text.Json;
using System.Text.Json.Serialization;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Store;

/// <summary>The JSON of a store: camelCase, unknown and repeated fields refused, sizes checked before anything is read.</summary>
internal static class StoreJson
{
    /// <summary>The largest manifest that is read: Grok-1's own is about 10 MB.</summary>
    public const int MaxManifestBytes = 64 << 20;

    private const int MaxDepth = 8;

    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        MaxDepth = MaxDepth,
        Converters = { new JsonStringEnumConverter<WeightFormat>(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    /// <summary>For the first look at a manifest, which may be of another version with other fields.</summary>
    private static readonly JsonSerializerOptions HeaderOptions = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, MaxDepth = MaxDepth };

    /// <exception cref="ModelException">Not a manifest this program can read.</exception>
    public static StoreManifest ReadManifest(string path)
    {
        try
        {
            var length = ModelFile.Length(path);
            if (length > MaxManifestBytes)
                throw new ModelException($"{path}: {length} bytes are too many for a manifest (at most {MaxManifestBytes}); import the model again");
            return ParseManifest(File.ReadAllBytes(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: cannot be read: {Printable.OneLine(e.Message)}", e);
        }
    }

    /// <param name="bytes">At most <see cref="MaxManifestBytes"/>.</param>
    /// <param name="path">Where they came from, for messages.</param>
    /// <exception cref="ModelException">Not a manifest this program can read.</exception>
    public static StoreManifest ParseManifest(ReadOnlySpan<byte> bytes, string path)
    {
        try
        {
            var version = JsonSerializer.Deserialize<Header>(bytes, HeaderOptions)?.Version;
            if (version != StoreManifest.CurrentVersion)
                throw new ModelException($"{path}: is of version {version?.ToString() ?? "unknown"}, this program reads version {StoreManifest.CurrentVersion}; import the model again");
            return JsonSerializer.Deserialize<StoreManifest>(bytes, Options)!;
        }
        // A name or string with half a surrogate pair is reported as an invalid operation.
        catch (Exception e) when (e is JsonException or NotSupportedException or InvalidOperationException)
        {
            throw new ModelException($"{path}: is not a manifest of a model store: {Problem(e)}; import the model again", e);
        }
    }

    /// <summary>What the parser says of text that is no JSON; what the serializer says of another shape names types of this program.</summary>
    private static string Problem(Exception fault) => fault is JsonException { InnerException: null, Path: { } place }
        ? $"{Printable.OneLine(place)} is unknown, twice, missing, or of another type"
        : $"{(fault is JsonException { Path: { } at } ? $"at {Printable.OneLine(at)}: " : "")}{Printable.OneLine((fault.InnerException ?? fault).Message)}";

    private sealed record Header(int? Version);
}
