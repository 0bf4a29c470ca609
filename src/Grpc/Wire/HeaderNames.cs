namespace Grok1Cluster.Grpc.Wire;

/// <summary>Names and fixed values of gRPC's HTTP/2 headers (grpc/doc/PROTOCOL-HTTP2.md).</summary>
internal static class HeaderNames
{
    public const string ContentType = "content-type";
    public const string Te = "te";
    public const string UserAgent = "user-agent";
    public const string Timeout = "grpc-timeout";
    public const string Encoding = "grpc-encoding";
    public const string AcceptEncoding = "grpc-accept-encoding";
    public const string Status = "grpc-status";
    public const string Message = "grpc-message";

    public const string GrpcContentType = "application/grpc";
    public const string Identity = "identity";
    public const string Trailers = "trailers";

    /// <summary>Headers that belong to HTTP or gRPC and are neither set by nor shown to applications.</summary>
    public static bool IsReserved(string name) =>
        name.StartsWith(':') || name.StartsWith("grpc-", StringComparison.Ordinal)
        || name is ContentType or Te or UserAgent or "host" or "connection" or "content-length" or "transfer-encoding" or "trailer" or "date" or "server";

    /// <summary>Whether a content type is gRPC's: <c>application/grpc</c>, alone or followed by <c>+format</c> or parameters (but not grpc-web).</summary>
    public static bool IsGrpc(string? contentType) =>
        contentType is not null && contentType.StartsWith(GrpcContentType, StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == GrpcContentType.Length || contentType[GrpcContentType.Length] is '+' or ';');
}
