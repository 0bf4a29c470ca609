using Grok1Cluster.Cluster.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary><c>/metrics</c>: Prometheus text.</summary>
internal static class MetricsRoutes
{
    public static void Map(IEndpointRouteBuilder routes, MetricCollector metrics) => routes.MapGet("/metrics", (HttpContext context) =>
    {
        context.Response.ContentType = MetricCollector.ContentType;
        return context.Response.WriteAsync(metrics.Write(), context.RequestAborted);
    });
}
