using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>The cluster for people and programs: workers, plan, load of every expert.</summary>
internal static class ClusterRoutes
{
    public static void Map(IEndpointRouteBuilder routes, CoordinatorServices services)
    {
        var session = services.Session;
        routes.MapGet("/cluster/workers", (HttpContext context) => WriteAsync(context, session.Workers.Select(worker => new WorkerView(
            worker.Id, worker.Description.ProcessId, worker.Address, worker.State, worker.Description.Tiles.Count, worker.Description.Bytes, worker.Description.Version))));
        routes.MapGet("/cluster/experts", (HttpContext context) => WriteAsync(context, new ExpertsView(services.Load.Since, services.Load.Snapshot())));
        routes.MapGet("/cluster/plan", (HttpContext context) =>
        {
            if (session.Plan is not { } plan)
                throw new ApiException("this coordinator computes the experts itself, so there is no plan", null) { Status = StatusCodes.Status404NotFound, Code = "no_plan" };
            context.Response.ContentType = "application/json";
            return context.Response.Body.WriteAsync(PlanJson.Serialize(plan)).AsTask();
        });
    }

    private static Task WriteAsync<T>(HttpContext context, T value) =>
        context.Response.WriteAsJsonAsync(value, ApiJson.Options, context.RequestAborted);

    private sealed record WorkerView(string Id, long Pid, string Address, string State, int Tiles, long Bytes, string Version);

    private sealed record ExpertsView(DateTimeOffset Since, long[][] Counts);
}
