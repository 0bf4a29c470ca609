using System.Collections.Frozen;
using System.Text.Json;
using Grok1Cluster.Coordinator.Http;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Dashboard;

/// <summary>
/// The dashboard's files, which tell nothing of the cluster, and its data: <c>/cluster/status</c> once, and
/// <c>/dashboard/events</c> as server-sent events for as long as the page is open.
/// </summary>
internal static class DashboardRoutes
{
    private const string ResourcePrefix = "wwwroot/";

    /// <summary>Nothing but the page's own files runs or is loaded; data come from this server.</summary>
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private static readonly FrozenDictionary<string, string> MediaTypes = new Dictionary<string, string>
    {
        [".html"] = "text/html; charset=utf-8",
        [".css"] = "text/css; charset=utf-8",
        [".js"] = "text/javascript; charset=utf-8",
        [".svg"] = "image/svg+xml",
    }.ToFrozenDictionary();

    private static readonly FrozenDictionary<string, byte[]> Files = Load();

    public static void Map(IEndpointRouteBuilder routes, ServerContext server)
    {
        // The page asks for the key; its files have no secret.
        routes.MapGet("/", (HttpContext context) => SendFileAsync(context, "index.html")).WithMetadata(OpenToAll.Metadata);
        routes.MapGet("/dashboard/{file}", (HttpContext context) => SendFileAsync(context, (string)context.GetRouteValue("file")!)).WithMetadata(OpenToAll.Metadata);
        routes.MapGet("/dashboard/events", (HttpContext context) => SendEventsAsync(context, server));
        routes.MapGet("/cluster/status", (HttpContext context) => context.Response.WriteAsJsonAsync(server.Status.Current, ApiJson.Options, context.RequestAborted));
    }

    private static Task SendFileAsync(HttpContext context, string file)
    {
        if (!Files.TryGetValue(file, out var bytes))
            throw new ApiException($"the dashboard has no file {file}", null) { Status = StatusCodes.Status404NotFound, Code = "not_found" };
        context.Response.ContentType = MediaTypes[Path.GetExtension(file)];
        context.Response.ContentLength = bytes.Length;
        var headers = context.Response.Headers;
        headers.CacheControl = "no-cache";
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    /// <summary>Events history (once), status, and when they changed: step, experts.</summary>
    private static async Task SendEventsAsync(HttpContext context, ServerContext server)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        try
        {
            await SendAsync(context, "history", server.Status.History());
            StepRecord? sent = null;
            for (var status = server.Status.Current; ; status = await server.Status.NextAsync().WaitAsync(context.RequestAborted))
                sent = await SendAsync(context, server, status, sent);
        }
        catch (OperationCanceledException)
        {
            // The page was closed, or the coordinator stops.
        }
    }

    /// <returns>The step that the page has now.</returns>
    private static async Task<StepRecord?> SendAsync(HttpContext context, ServerContext server, ClusterStatus status, StepRecord? sent)
    {
        await SendAsync(context, "status", status);
        if (server.Status.Experts is { } load)
            await SendAsync(context, "experts", new ExpertsView(load.Since, load.Snapshot()));
        var step = server.Metrics.Recorder?.Latest;
        if (step is not null && step != sent)
            await SendAsync(context, "step", StepView.Of(step));
        await context.Response.Body.FlushAsync(context.RequestAborted);
        return step;
    }

    private static Task SendAsync<T>(HttpContext context, string name, T value) =>
        context.Response.WriteAsync($"event: {name}\ndata: {JsonSerializer.Serialize(value, ApiJson.Options)}\n\n", context.RequestAborted);

    private static FrozenDictionary<string, byte[]> Load()
    {
        var assembly = typeof(DashboardRoutes).Assembly;
        return assembly.GetManifestResourceNames().Where(name => name.StartsWith(ResourcePrefix, StringComparison.Ordinal)).ToFrozenDictionary(name => name[ResourcePrefix.Length..], name =>
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        });
    }

    private sealed record ExpertsView(DateTimeOffset Since, long[][] Counts);
}
