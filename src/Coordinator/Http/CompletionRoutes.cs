using System.Text;
using System.Text.Json;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Scheduling;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http;

/// <summary><c>POST /v1/completions</c> and <c>GET /v1/models</c>, in the shape of OpenAI's API.</summary>
internal static class CompletionRoutes
{
    public static void Map(IEndpointRouteBuilder routes, CoordinatorServices services)
    {
        var model = services.Session.Store.Name;
        routes.MapGet("/v1/models", (HttpContext context) => context.Response.WriteAsJsonAsync(
            new ModelList("list", [new ModelView(model, "model", 0, "grok1")]), ApiJson.Options, context.RequestAborted));
        routes.MapPost("/v1/completions", (HttpContext context) => CompleteAsync(context, services));
    }

    private static async Task CompleteAsync(HttpContext context, CoordinatorServices services)
    {
        SequenceHandle? handle = null;
        try
        {
            var body = await JsonSerializer.DeserializeAsync<CompletionRequest>(context.Request.Body, ApiJson.Options, context.RequestAborted)
                ?? throw new ApiException("the body is null", null);
            var request = body.ToEngine(services.Session.Tokenizer, services.Session.Store.Name);
            handle = services.Engine.Submit(request, context.RequestAborted);
            var answer = new CompletionAnswer(services.Session, request);
            if (body.Stream == true)
                await StreamAsync(context, handle, answer);
            else
                await context.Response.WriteAsJsonAsync(answer.Whole(await handle.Completion), ApiJson.Options, context.RequestAborted);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client is gone, and its sequence with it.
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            await ReportAsync(context, e);
        }
    }

    private static async Task StreamAsync(HttpContext context, SequenceHandle handle, CompletionAnswer answer)
    {
        var cancel = context.RequestAborted;
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        try
        {
            await foreach (var token in handle.Tokens.ReadAllAsync(cancel))
                await SendAsync(context, answer.Next(token));
            await SendAsync(context, answer.Last(await handle.Completion));
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            await SendAsync(context, ApiError.Body(e.Message, "server_error", null, "generation_failed"));
        }
        await context.Response.WriteAsync("data: [DONE]\n\n", cancel);
    }

    private static async Task SendAsync(HttpContext context, object value)
    {
        await context.Response.WriteAsync($"data: {JsonSerializer.Serialize(value, ApiJson.Options)}\n\n", Encoding.UTF8, context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    private static Task ReportAsync(HttpContext context, Exception exception)
    {
        switch (exception)
        {
            case JsonException json:
                return ApiError.WriteAsync(context, StatusCodes.Status400BadRequest, $"the body is not a completion request: {json.Message}", json.Path, "invalid_json");
            case BadHttpRequestException bad:
                return ApiError.WriteAsync(context, bad.StatusCode, bad.Message, null, "invalid_request");
            case ApiException api:
                return ApiError.WriteAsync(context, StatusCodes.Status400BadRequest, api.Message, api.Param, "invalid_value");
            case PromptException prompt:
                return ApiError.WriteAsync(context, StatusCodes.Status400BadRequest, prompt.Message, "prompt", "invalid_prompt");
            case QueueFullException full:
                context.Response.Headers.RetryAfter = "1";
                return ApiError.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, full.Message, null, "queue_full");
            default:
                return ApiError.WriteAsync(context, StatusCodes.Status500InternalServerError, exception.Message, null, "generation_failed");
        }
    }

    private sealed record ModelList(string Object, IReadOnlyList<ModelView> Data);

    private sealed record ModelView(string Id, string Object, long Created, string OwnedBy);
}
