using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>For load balancers and supervisors. The server is started when the model is loaded, so alive is ready.</summary>
internal static class HealthRoutes
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/health/live", (HttpContext context) => context.Response.WriteAsync("live\n"));
        routes.MapGet("/health/ready", (HttpContext context) => context.Response.WriteAsync("ready\n"));
    }
}
