using Grok1Cluster.Coordinator.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>For load balancers and supervisors: alive as long as the process answers, ready while it takes requests.</summary>
internal static class HealthRoutes
{
    public static void Map(IEndpointRouteBuilder routes, Readiness readiness)
    {
        routes.MapGet("/health/live", (HttpContext context) => context.Response.WriteAsync("live\n"));
        routes.MapGet("/health/ready", (HttpContext context) =>
        {
            context.Response.StatusCode = readiness.Phase == ServingPhase.Ready ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
            return context.Response.WriteAsync($"{ServingState.Describe(readiness)}\n");
        });
    }
}
