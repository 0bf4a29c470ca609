using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Models;

/// <summary><c>GET /v1/models</c> and <c>GET /v1/models/{id}</c>: the one model that is served.</summary>
internal static class ModelRoutes
{
    public static void Map(IEndpointRouteBuilder routes, ApiContext api)
    {
        var view = new ModelView(api.Model.Id, "model", api.Model.Created, "grok1", api.Model.Config.MaxSequenceLength);
        routes.MapGet("/v1/models", (HttpContext context) => context.Response.WriteAsJsonAsync(new ModelList("list", [view]), ApiJson.Options, context.RequestAborted));
        routes.MapGet("/v1/models/{**id}", (HttpContext context, string id) => id == view.Id
            ? context.Response.WriteAsJsonAsync(view, ApiJson.Options, context.RequestAborted)
            : throw api.Model.NotServed(id));
    }

    private sealed record ModelList(string Object, IReadOnlyList<ModelView> Data);

    /// <param name="MaxModelLen">Tokens of prompt and completion together, under the name that vLLM gave it.</param>
    private sealed record ModelView(string Id, string Object, long Created, string OwnedBy, int MaxModelLen);
}
