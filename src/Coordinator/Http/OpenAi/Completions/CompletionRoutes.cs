using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Completions;

/// <summary><c>POST /v1/completions</c>.</summary>
internal static class CompletionRoutes
{
    public static void Map(IEndpointRouteBuilder routes, ApiContext api) =>
        routes.MapPost("/v1/completions", (HttpContext context) => CompleteAsync(context, api));

    private static async Task CompleteAsync(HttpContext context, ApiContext api)
    {
        var body = await JsonBody.ReadAsync(context, api.Limits.JsonDepth);
        var request = CompletionRequest.Read(body, api.Model, api.Limits);
        using var run = GenerationRun.Start(api.Engine, api.Model, request.Prompts, request.Generation, request.ToEngine(), context.RequestAborted);
        var answer = new CompletionAnswer(api.Model, request, run.Choices);
        if (request.Generation.Stream)
            await new EventStream(context, api.KeepAlive, api.Time).SendAsync(run.Events, answer.Event, answer.LastEvent);
        else
            await context.Response.WriteAsJsonAsync(await answer.WholeAsync(run.Events.ReadAllAsync(context.RequestAborted)), ApiJson.Options, context.RequestAborted);
    }
}
