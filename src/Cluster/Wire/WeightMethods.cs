using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Cluster.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>The methods of <c>grok1.cluster.v1.WeightService</c>: weights for machines that do not have them.</summary>
public static class WeightMethods
{
    public const string Service = "grok1.cluster.v1.WeightService";

    public static GrpcMethod<GetManifestRequest, ManifestChunk> GetManifest { get; } =
        GrpcMethod.Protobuf(Service, nameof(GetManifest), GetManifestRequest.Parser, ManifestChunk.Parser);

    public static GrpcMethod<GetBlocksRequest, BlockChunk> GetBlocks { get; } =
        GrpcMethod.Protobuf(Service, nameof(GetBlocks), GetBlocksRequest.Parser, BlockChunk.Parser);
}
