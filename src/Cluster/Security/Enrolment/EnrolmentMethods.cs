using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Security.V1;

namespace Grok1Cluster.Cluster.Security.Enrolment;

/// <summary>The methods of <c>grok1.security.v1.EnrolmentService</c>.</summary>
internal static class EnrolmentMethods
{
    /// <summary>A request and an answer are a few certificates.</summary>
    public const int MaxMessageBytes = 64 << 10;

    private const string Service = "grok1.security.v1.EnrolmentService";

    public static GrpcMethod<GetAuthorityRequest, GetAuthorityResponse> GetAuthority { get; } =
        GrpcMethod.Protobuf(Service, nameof(GetAuthority), GetAuthorityRequest.Parser, GetAuthorityResponse.Parser);

    public static GrpcMethod<EnrolRequest, EnrolResponse> Enrol { get; } =
        GrpcMethod.Protobuf(Service, nameof(Enrol), EnrolRequest.Parser, EnrolResponse.Parser);
}
