using Grpc.Health.V1;

namespace Grok1Cluster.Grpc.Health;

/// <summary>The methods of the standard health service, <c>grpc.health.v1.Health</c>.</summary>
public static class HealthMethods
{
    private const string Service = "grpc.health.v1.Health";

    /// <summary>Unary: the status now; NOT_FOUND for a service that the server does not know.</summary>
    public static GrpcMethod<HealthCheckRequest, HealthCheckResponse> Check { get; } =
        GrpcMethod.Protobuf(Service, nameof(Check), HealthCheckRequest.Parser, HealthCheckResponse.Parser);

    /// <summary>Server streaming: the status now and after every change; SERVICE_UNKNOWN while the server does not know the service.</summary>
    public static GrpcMethod<HealthCheckRequest, HealthCheckResponse> Watch { get; } =
        GrpcMethod.Protobuf(Service, nameof(Watch), HealthCheckRequest.Parser, HealthCheckResponse.Parser);
}
