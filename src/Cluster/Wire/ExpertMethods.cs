using System.Globalization;
using Grok1Cluster.Grpc;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>The methods of <c>grok1.expert.v1.ExpertService</c>, as both sides of a call name them.</summary>
public static class ExpertMethods
{
    /// <summary>Full name of the service, also for health checks.</summary>
    public const string Service = "grok1.expert.v1.ExpertService";

    /// <summary>
    /// Version of the protocol between coordinators and workers: 1 had calls alone, 2 has control and transfer of weights too, 3 outliers of
    /// activations in calls.
    /// </summary>
    public const uint Protocol = 3;

    /// <summary>The first version whose workers understand outliers. Those before would pass them over.</summary>
    public const uint FirstWithOutliers = 3;

    /// <summary>Whether a worker of a protocol can be used: one version before or after this one at most.</summary>
    /// <param name="protocol">As it says itself; 0, which the first version said, is 1.</param>
    public static bool IsCompatible(uint protocol) => Math.Max(1, protocol) is >= Protocol - 1 and <= Protocol + 1;

    /// <summary>Largest message either side accepts: a prefill chunk of 1,024 tokens of Grok-1 in float32, for two bundles.</summary>
    public const int MaxMessageBytes = 64 << 20;

    public static GrpcMethod<DescribeRequest, DescribeResponse> Describe { get; } =
        GrpcMethod.Protobuf(Service, nameof(Describe), DescribeRequest.Parser, DescribeResponse.Parser);

    public static GrpcMethod<StatusRequest, StatusResponse> Status { get; } =
        GrpcMethod.Protobuf(Service, nameof(Status), StatusRequest.Parser, StatusResponse.Parser);

    /// <summary>The stream of calls with generated messages: for tests and tools.</summary>
    public static GrpcMethod<ProcessRequest, ProcessResponse> Process { get; } =
        GrpcMethod.Protobuf(Service, nameof(Process), ProcessRequest.Parser, ProcessResponse.Parser);

    /// <summary>The same stream with the same bytes, with messages that are used again.</summary>
    /// <param name="rentRequest">Gives the request that a worker reads into.</param>
    /// <param name="rentResult">Gives the result that a coordinator reads into.</param>
    public static GrpcMethod<TRequest, ResultFrame> ProcessFrames<TRequest>(Func<TRequest> rentRequest, Func<ResultFrame> rentResult) where TRequest : IWireFrame =>
        new(Service, nameof(Process), FrameMarshaller.Of(rentRequest), FrameMarshaller.Of(rentResult));

    /// <summary>The short form of a model's fingerprint that every call carries.</summary>
    /// <param name="fingerprint">64 hexadecimal digits.</param>
    public static ulong ShortFingerprint(string fingerprint) => ulong.Parse(fingerprint.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
