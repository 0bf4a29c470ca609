using System.Text.Json.Nodes;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Completions;
using Grok1Cluster.Coordinator.Http.Operations;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Http.Tokens;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Description;

/// <summary><c>GET /openapi.json</c>: OpenAPI 3.1, made from the same field tables that requests are checked with.</summary>
internal static class DescriptionRoutes
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var document = Document().ToJsonString(ApiJson.Options);
        routes.MapGet("/openapi.json", (HttpContext context) =>
        {
            context.Response.ContentType = "application/json; charset=utf-8";
            return context.Response.WriteAsync(document, context.RequestAborted);
        });
    }

    private static JsonObject Document() => new()
    {
        ["openapi"] = "3.1.0",
        ["info"] = new JsonObject { ["title"] = "grok1 coordinator", ["version"] = typeof(DescriptionRoutes).Assembly.GetName().Version!.ToString(3) },
        ["paths"] = new JsonObject
        {
            ["/v1/completions"] = Post("Continues prompts.", CompletionRequest.Known, "prompt"),
            ["/v1/chat/completions"] = Post("Continues a chat, by a template: the model is a base model.", ChatRequest.Known, "messages"),
            ["/v1/models"] = Get("The model that is served, as a list."),
            ["/v1/models/{id}"] = Get("One model.", "id"),
            ["/tokenize"] = Post("The token ids of a text or a chat.", TokenRoutes.TokenizeFields),
            ["/detokenize"] = Post("The text of token ids.", TokenRoutes.DetokenizeFields, "tokens"),
            ["/tokenizer_info"] = Get("Special tokens and sizes."),
            ["/apply-template"] = Post("The prompt that a chat becomes.", ChatRoutes.TemplateFields, "messages"),
            ["/cluster/workers"] = Get("Workers and what they hold."),
            ["/cluster/plan"] = Get("Which worker holds which bundles."),
            ["/cluster/experts"] = Get("Tokens that each expert of each layer was given."),
            ["/cluster/move"] = Post("Gives a bundle to another worker, while it serves.", OperationRoutes.MoveFields, "layer", "from", "to"),
            ["/cluster/drain"] = Post("Gives what a worker holds to others, and ends it.", OperationRoutes.DrainFields, "worker"),
            ["/cluster/join"] = Post("Takes a worker in and gives it its part.", OperationRoutes.JoinFields, "address"),
            ["/cluster/rebalance"] = Post("Makes the plan anew for the workers that are connected.", []),
            ["/cluster/apply"] = Post("Takes over a plan.", OperationRoutes.PlanFields, "epoch", "model", "cuts", "bundles"),
            ["/health/live"] = Get("Whether the process runs."),
            ["/health/ready"] = Get("Whether requests are taken."),
        },
        ["components"] = new JsonObject
        {
            ["securitySchemes"] = new JsonObject { ["key"] = new JsonObject { ["type"] = "http", ["scheme"] = "bearer" } },
            ["schemas"] = new JsonObject
            {
                ["Error"] = JsonNode.Parse("""
                    {"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["message","type","param","code"],"properties":{
                    "message":{"type":"string"},"type":{"type":"string"},"param":{"type":["string","null"]},"code":{"type":["string","null"]}}}}}
                    """),
            },
        },
        ["security"] = new JsonArray(new JsonObject { ["key"] = new JsonArray() }, new JsonObject()),
    };

    private static JsonObject Post(string summary, IReadOnlyList<ApiField> fields, params string[] required)
    {
        var properties = new JsonObject();
        // What is refused is left out: a client that follows the schema does not send it.
        foreach (var field in fields.Where(field => field.Use != FieldUse.Refused))
        {
            var schema = JsonNode.Parse(field.Schema)!.AsObject();
            schema["description"] = field.Description;
            properties[field.Name] = schema;
        }
        var body = new JsonObject { ["type"] = "object", ["additionalProperties"] = false, ["properties"] = properties };
        if (required.Length > 0)
            body["required"] = new JsonArray([.. required.Select(name => JsonValue.Create(name))]);
        var operation = Operation(summary);
        operation["requestBody"] = new JsonObject { ["required"] = true, ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = body } } };
        return new JsonObject { ["post"] = operation };
    }

    private static JsonObject Get(string summary, string? pathParameter = null)
    {
        var operation = Operation(summary);
        if (pathParameter is not null)
            operation["parameters"] = new JsonArray(new JsonObject
            {
                ["name"] = pathParameter, ["in"] = "path", ["required"] = true, ["schema"] = new JsonObject { ["type"] = "string" },
            });
        return new JsonObject { ["get"] = operation };
    }

    private static JsonObject Operation(string summary) => new()
    {
        ["summary"] = summary,
        ["responses"] = new JsonObject
        {
            ["200"] = new JsonObject { ["description"] = "The answer." },
            ["default"] = new JsonObject
            {
                ["description"] = "What is wrong.",
                ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = new JsonObject { ["$ref"] = "#/components/schemas/Error" } } },
            },
        },
    };
}
