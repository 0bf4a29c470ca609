using Grok1Cluster.Coordinator.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>For load balancers and supervisors: alive as long as the process answers, ready while it takes requests and every tile has a worker.</summary>
internal static class HealthRoutes
{
    /// <summary>Probes often ask for the status alone.</summary>
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head];

    public static void Map(IEndpointRouteBuilder routes, Readiness readiness)
    {
        routes.MapMethods("/health/live", Methods, (HttpContext context) => Write(context, "live"));
        routes.MapMethods("/health/ready", Methods, (HttpContext context) =>
        {
            var lacks = readiness.Phase == ServingPhase.Ready ? readiness.Lacks() : null;
            context.Response.StatusCode = readiness.Phase == ServingPhase.Ready && lacks is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
            return Write(context, lacks ?? ServingState.Describe(readiness));
        });
    }

    private static Task Write(HttpContext context, string state)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync($"{state}\n");
    }
}
