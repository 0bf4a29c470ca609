using System.IO.Compression;
using Google.Protobuf;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// A plan as a value in etcd: its JSON, compressed by gzip where it is long, because etcd takes values of 1.5 MB. Readers take both,
/// so that a person may write one.
/// </summary>
internal static class PlanValue
{
    /// <summary>Longer ones are compressed.</summary>
    public const int LongestPlain = 64 << 10;

    private const byte GzipMark = 0x1f;

    public static ByteString Write(Plan plan)
    {
        var json = PlanJson.Serialize(plan);
        if (json.Length <= LongestPlain)
            return ByteString.CopyFrom(json);
        using var buffer = new MemoryStream();
        using (var gzip = new GZipStream(buffer, CompressionLevel.Optimal, leaveOpen: true))
            gzip.Write(json);
        return ByteString.CopyFrom(buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
    }

    /// <exception cref="PlanException">It is malformed, too large, or no plan for the geometry.</exception>
    public static Plan Read(string name, ByteString value, PlanGeometry geometry)
    {
        try
        {
            return PlanJson.Read(value.Length > 0 && value[0] == GzipMark ? Unpack(value) : value.Span, geometry, name);
        }
        catch (InvalidDataException e)
        {
            throw new PlanException($"{name} is malformed", e.Message, e);
        }
    }

    private static ReadOnlySpan<byte> Unpack(ByteString value)
    {
        using var gzip = new GZipStream(new MemoryStream(value.ToByteArray()), CompressionMode.Decompress);
        using var json = new MemoryStream();
        var buffer = new byte[LongestPlain];
        // A few bytes may unpack to any length.
        for (int read; (read = gzip.Read(buffer)) > 0;)
        {
            if (json.Length + read > PlanFile.MaxBytes)
                throw new InvalidDataException($"it unpacks to more than {PlanFile.MaxBytes} bytes, which no plan needs");
            json.Write(buffer.AsSpan(0, read));
        }
        return json.GetBuffer().AsSpan(0, (int)json.Length);
    }
}
