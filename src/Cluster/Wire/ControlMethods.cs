using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>The methods of <c>grok1.cluster.v1.WorkerControl</c>: what a coordinator asks of a worker beside calls.</summary>
public static class ControlMethods
{
    public const string Service = "grok1.cluster.v1.WorkerControl";

    public static GrpcMethod<HoldRequest, HoldProgress> Hold { get; } =
        GrpcMethod.Protobuf(Service, nameof(Hold), HoldRequest.Parser, HoldProgress.Parser);

    public static GrpcMethod<ReleaseRequest, ReleaseResponse> Release { get; } =
        GrpcMethod.Protobuf(Service, nameof(Release), ReleaseRequest.Parser, ReleaseResponse.Parser);

    public static GrpcMethod<LeaveRequest, LeaveResponse> Leave { get; } =
        GrpcMethod.Protobuf(Service, nameof(Leave), LeaveRequest.Parser, LeaveResponse.Parser);
}
