using Grok1Cluster.Grpc.Client;
using Grpc.Health.V1;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace Grok1Cluster.Grpc.Health;

/// <summary>Asks the standard health service of a server.</summary>
public static class HealthClient
{
    /// <summary>Whether <paramref name="service"/> (<see cref="HealthService.WholeServer"/>, the empty string, for all) serves now.</summary>
    /// <exception cref="RpcException">NOT_FOUND for a service the server does not know; UNAVAILABLE or DEADLINE_EXCEEDED if the server cannot be asked.</exception>
    public static async Task<bool> IsServingAsync(this GrpcChannel channel, string service, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var response = await channel.UnaryAsync(HealthMethods.Check, new HealthCheckRequest { Service = service }, GrpcCallOptions.After(timeout), cancellationToken);
        return response.Status == ServingStatus.Serving;
    }
}
