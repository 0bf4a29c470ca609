using Grok1Cluster.Coordinator.Http.OpenAi.Generation;
using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Chat;

/// <summary><c>POST /v1/chat/completions</c>, and <c>POST /apply-template</c>, which shows the prompt that a chat becomes.</summary>
internal static class ChatRoutes
{
    /// <summary>Says in every answer by which template a base model was made to chat.</summary>
    public const string TemplateHeader = "X-Grok1-Chat-Template";

    public static readonly IReadOnlyList<ApiField> TemplateFields = [Supported("model", """{"type":"string"}""", "The model's id; may be left out."), ChatMessages.Field];

    public static void Map(IEndpointRouteBuilder routes, ApiContext api)
    {
        routes.MapPost("/v1/chat/completions", (HttpContext context) => CompleteAsync(context, api));
        routes.MapPost("/apply-template", (HttpContext context) => ShowAsync(context, api));
    }

    private static async Task CompleteAsync(HttpContext context, ApiContext api)
    {
        context.Response.Headers[TemplateHeader] = api.Template.Name;
        var body = await JsonBody.ReadAsync(context, api.Limits.JsonDepth);
        var request = ChatRequest.Read(body, api.Model, api.Template, api.Limits);
        using var run = GenerationRun.Start(api.Engine, api.Model, [request.Prompt], request.Generation, request.ToEngine(api.Limits), context.RequestAborted);
        var answer = new ChatAnswer(api.Model, request);
        if (request.Generation.Stream)
            await new EventStream(context, api.KeepAlive, api.Time).SendAsync(run.Events, answer.Event, answer.LastEvent);
        else
            await context.Response.WriteAsJsonAsync(await answer.WholeAsync(run.Events.ReadAllAsync(context.RequestAborted)), ApiJson.Options, context.RequestAborted);
    }

    private static async Task ShowAsync(HttpContext context, ApiContext api)
    {
        context.Response.Headers[TemplateHeader] = api.Template.Name;
        var fields = new RequestFields(await JsonBody.ReadAsync(context, api.Limits.JsonDepth), TemplateFields);
        if (fields.Text("model") is { } asked && asked != api.Model.Id)
            throw api.Model.NotServed(asked);
        await context.Response.WriteAsJsonAsync(new Shown(api.Template.Apply(ChatMessages.Read(fields, api.Limits))), ApiJson.Options, context.RequestAborted);
    }

    private sealed record Shown(string Prompt);
}
