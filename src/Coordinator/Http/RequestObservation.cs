using System.Diagnostics;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Coordinator.Tracing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>Counts, logs and traces every request, and holds back those that come while there is nothing to serve them.</summary>
internal sealed class RequestObservation(Readiness readiness, CoordinatorMetrics metrics, CoordinatorLog log)
{
    /// <summary>When a client should try again while weights load, and while the coordinator drains.</summary>
    private static readonly TimeSpan RetryAfterLoading = TimeSpan.FromSeconds(5), RetryAfterDraining = TimeSpan.FromSeconds(30);

    public void Use(IApplicationBuilder application) => application.Use(next => context => RunAsync(context, next));

    private async Task RunAsync(HttpContext context, RequestDelegate next)
    {
        var start = Stopwatch.GetTimestamp();
        var isApi = context.Request.Path.StartsWithSegments("/v1");
        using var span = isApi ? StartSpan(context) : null;
        // A library writes the response's headers before a body; an exception past that point ends the connection.
        try
        {
            if (!NeedsModel(context.Request.Path))
                await next(context);
            else if (!readiness.TryEnter())
                await RefuseAsync(context);
            else
                await RunCountedAsync(context, next);
        }
        finally
        {
            var route = RouteOf(context);
            var seconds = Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 6);
            span?.SetTag("http.route", route).SetTag("http.response.status_code", context.Response.StatusCode);
            metrics.HttpRequest(context.Request.Method, route, context.Response.StatusCode);
            log.HttpRequest(context.TraceIdentifier, context.Request.Method, route, context.Response.StatusCode, seconds);
        }
    }

    private async Task RunCountedAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context);
        }
        finally
        {
            readiness.Leave();
        }
    }

    /// <summary>Health, metrics and the dashboard are there in every phase.</summary>
    private static bool NeedsModel(PathString path) =>
        !path.StartsWithSegments("/health") && !path.StartsWithSegments("/metrics") && !path.StartsWithSegments("/dashboard")
        && !path.StartsWithSegments("/cluster/status") && path != "/";

    private Task RefuseAsync(HttpContext context)
    {
        var loading = readiness.Phase == ServingPhase.Loading;
        return ApiError.WriteAsync(context, new ApiException(ServingState.Describe(readiness), null)
        {
            Status = StatusCodes.Status503ServiceUnavailable, Code = loading ? "model_loading" : "shutting_down", RetryAfter = loading ? RetryAfterLoading : RetryAfterDraining,
        });
    }

    private static Activity? StartSpan(HttpContext context)
    {
        ActivityContext.TryParse(context.Request.Headers.TraceParent, context.Request.Headers.TraceState, isRemote: true, out var parent);
        return StepTracer.Source.StartActivity($"{context.Request.Method} {context.Request.Path}", ActivityKind.Server, parent)
            ?.SetTag("http.request.method", context.Request.Method).SetTag("url.path", context.Request.Path.Value);
    }

    /// <summary>The pattern that matched; a path that matched nothing is the client's invention.</summary>
    private static string RouteOf(HttpContext context) =>
        (context.Features.Get<IEndpointFeature>()?.Endpoint as RouteEndpoint)?.RoutePattern.RawText ?? "none";
}

/// <summary>A coordinator's phase in words.</summary>
internal static class ServingState
{
    public static string Describe(Readiness readiness) => readiness.Phase switch
    {
        ServingPhase.Loading when readiness.Progress.Waiting is { } waiting => waiting,
        ServingPhase.Loading => $"the model is loading, {Math.Floor(100 * readiness.Progress.Share):0} %; try again",
        ServingPhase.Draining => "this coordinator is shutting down; send the request to another",
        _ => "ready",
    };
}
