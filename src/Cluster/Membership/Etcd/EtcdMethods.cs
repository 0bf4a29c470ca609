using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Etcd;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>The methods of etcd v3 that are used.</summary>
internal static class EtcdMethods
{
    private const string Kv = "etcdserverpb.KV", WatchService = "etcdserverpb.Watch", Lease = "etcdserverpb.Lease", Auth = "etcdserverpb.Auth";

    public static GrpcMethod<RangeRequest, RangeResponse> Range { get; } =
        GrpcMethod.Protobuf(Kv, nameof(Range), RangeRequest.Parser, RangeResponse.Parser);

    public static GrpcMethod<TxnRequest, TxnResponse> Txn { get; } =
        GrpcMethod.Protobuf(Kv, nameof(Txn), TxnRequest.Parser, TxnResponse.Parser);

    public static GrpcMethod<WatchRequest, WatchResponse> Watch { get; } =
        GrpcMethod.Protobuf(WatchService, nameof(Watch), WatchRequest.Parser, WatchResponse.Parser);

    public static GrpcMethod<LeaseGrantRequest, LeaseGrantResponse> LeaseGrant { get; } =
        GrpcMethod.Protobuf(Lease, nameof(LeaseGrant), LeaseGrantRequest.Parser, LeaseGrantResponse.Parser);

    public static GrpcMethod<LeaseRevokeRequest, LeaseRevokeResponse> LeaseRevoke { get; } =
        GrpcMethod.Protobuf(Lease, nameof(LeaseRevoke), LeaseRevokeRequest.Parser, LeaseRevokeResponse.Parser);

    public static GrpcMethod<LeaseKeepAliveRequest, LeaseKeepAliveResponse> LeaseKeepAlive { get; } =
        GrpcMethod.Protobuf(Lease, nameof(LeaseKeepAlive), LeaseKeepAliveRequest.Parser, LeaseKeepAliveResponse.Parser);

    public static GrpcMethod<AuthenticateRequest, AuthenticateResponse> Authenticate { get; } =
        GrpcMethod.Protobuf(Auth, nameof(Authenticate), AuthenticateRequest.Parser, AuthenticateResponse.Parser);
}
