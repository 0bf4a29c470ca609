using System.Globalization;

namespace Grok1Cluster.Grpc.Wire;

/// <summary>A status as trailers.</summary>
internal static class StatusEncoding
{
    /// <summary>Other implementations refuse header blocks over 8 KiB; half is left to the application's trailers.</summary>
    private const int MaxMessageLength = 4096;

    /// <summary>Appends status, message and trailers to <paramref name="headers"/>.</summary>
    public static void Append(GrpcStatus status, Metadata trailers, HeaderList headers)
    {
        headers.Add(HeaderNames.Status, ((int)status.Code).ToString(CultureInfo.InvariantCulture));
        if (status.Message.Length > 0)
            headers.Add(HeaderNames.Message, PercentEncoding.Encode(status.Message, MaxMessageLength));
        MetadataEncoding.Append(trailers, headers);
    }

    /// <summary>The status in a header block, or null where it holds none. A number that gRPC does not define reads as <see cref="GrpcStatusCode.Unknown"/>.</summary>
    public static GrpcStatus? Read(HeaderList headers)
    {
        if (headers.Find(HeaderNames.Status) is not { } text)
            return null;
        var message = PercentEncoding.Decode(headers.Find(HeaderNames.Message) ?? "");
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var code) && Enum.IsDefined((GrpcStatusCode)code)
            ? new GrpcStatus((GrpcStatusCode)code, message)
            : new GrpcStatus(GrpcStatusCode.Unknown, $"the peer sent the status '{text}', which gRPC does not define: {message}");
    }
}
