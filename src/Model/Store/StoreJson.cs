using System.Text.Json;
using System.Text.Json.Serialization;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Store;

/// <summary>The JSON of a store: camelCase, unknown fields refused, sizes checked before anything is read.</summary>
internal static class StoreJson
{
    /// <summary>The largest manifest that is read: Grok-1's own is about 10 MB.</summary>
    private const long MaxManifestBytes = 256L << 20;

    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        MaxDepth = 8,
        Converters = { new JsonStringEnumConverter<WeightFormat>(JsonNamingPolicy.CamelCase, allowIntegerValues: false) },
    };

    /// <exception cref="ModelException">Not a manifest this program can read.</exception>
    public static StoreManifest ReadManifest(string path)
    {
        var length = ModelFile.Length(path);
        if (length > MaxManifestBytes)
            throw new ModelException($"{path}: {length} bytes are too many for a manifest (at most {MaxManifestBytes}); import the model again");
        try
        {
            using var stream = File.OpenRead(path);
            var manifest = JsonSerializer.Deserialize<StoreManifest>(stream, Options)
                ?? throw new ModelException($"{path}: is null, not a manifest; import the model again");
            if (manifest.Version != StoreManifest.CurrentVersion)
                throw new ModelException($"{path}: is of version {manifest.Version}, this program reads version {StoreManifest.CurrentVersion}; import the model again");
            return manifest;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new ModelException($"{path}: is not a manifest of a model store: {Printable.OneLine(e.Message)}; import the model again", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: cannot be read: {Printable.OneLine(e.Message)}", e);
        }
    }
}
