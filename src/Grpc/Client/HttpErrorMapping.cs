namespace Grok1Cluster.Grpc.Client;

/// <summary>What HTTP says about a call for which gRPC itself said nothing.</summary>
internal static class HttpErrorMapping
{
    /// <summary>The status for an RST_STREAM or GOAWAY code (grpc/doc/PROTOCOL-HTTP2.md, "Errors").</summary>
    public static GrpcStatusCode FromHttp2Error(long http2Error) => http2Error switch
    {
        0x7 => GrpcStatusCode.Unavailable,       // REFUSED_STREAM
        0x8 => GrpcStatusCode.Cancelled,         // CANCEL
        0xb => GrpcStatusCode.ResourceExhausted, // ENHANCE_YOUR_CALM
        0xc => GrpcStatusCode.PermissionDenied,  // INADEQUATE_SECURITY
        _ => GrpcStatusCode.Internal,
    };

    /// <summary>The status for an HTTP status other than 200 (grpc/doc/http-grpc-status-mapping.md).</summary>
    public static GrpcStatusCode FromHttpStatus(int httpStatus) => httpStatus switch
    {
        400 => GrpcStatusCode.Internal,
        401 => GrpcStatusCode.Unauthenticated,
        403 => GrpcStatusCode.PermissionDenied,
        404 => GrpcStatusCode.Unimplemented,
        429 or 502 or 503 or 504 => GrpcStatusCode.Unavailable,
        _ => GrpcStatusCode.Unknown,
    };
}
