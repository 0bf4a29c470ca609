using System.Text.Json;
using Google.Protobuf;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Small values in etcd: one JSON object each. A field that is not known is of a later version and is passed over.</summary>
internal static class RecordJson
{
    public const int MaxBytes = 16 << 10;

    private static readonly JsonSerializerOptions Options = new()
    {
        MaxDepth = 8,
        AllowDuplicateProperties = false,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    public static ByteString Write<T>(T record) => ByteString.CopyFrom(JsonSerializer.SerializeToUtf8Bytes(record, Options));

    /// <summary>A record, if the bytes are one of a reasonable size; what its fields say is for the reader to check.</summary>
    /// <param name="problem">Why there is none.</param>
    public static T? Read<T>(ByteString value, out string problem) where T : class
    {
        problem = "";
        if (value.Length > MaxBytes)
        {
            problem = $"{value.Length} bytes, more than {MaxBytes}";
            return null;
        }
        try
        {
            var record = JsonSerializer.Deserialize<T>(value.Span, Options);
            problem = record is null ? "it is null" : "";
            return record;
        }
        catch (JsonException)
        {
            problem = "not the JSON that it should be";
            return null;
        }
    }
}
