using System.Text;
using System.Text.Json;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Operations;
using Grok1Cluster.Grpc;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using static Grok1Cluster.Coordinator.Http.Requests.ApiField;

namespace Grok1Cluster.Coordinator.Http.Operations;

/// <summary>
/// Changes of the cluster: <c>POST /cluster/move|drain|join|rebalance|apply</c>. The answer is a line of JSON for each step forward,
/// the last with phase <c>done</c>. A change goes on when its client leaves.
/// </summary>
internal static class OperationRoutes
{
    /// <summary>Object, bundles, bundle, tiles, pair.</summary>
    private const int PlanDepth = 5;

    public static readonly IReadOnlyList<ApiField> MoveFields =
    [
        Supported("layer", """{"type":"integer","minimum":0}""", "The bundle's layer."),
        Supported("bundle", """{"type":"integer","minimum":0,"default":0}""", "Its place among the bundles of the layer, as in /cluster/plan."),
        Supported("from", """{"type":"string"}""", "Id of a worker that holds it."),
        Supported("to", """{"type":"string"}""", "Id of the worker that shall hold it instead."),
    ];

    public static readonly IReadOnlyList<ApiField> DrainFields = [Supported("worker", """{"type":"string"}""", "Id of the worker that shall leave.")];

    public static readonly IReadOnlyList<ApiField> JoinFields = [Supported("address", """{"type":"string"}""", "gRPC address of a worker that runs.")];

    /// <summary>Of a plan; read as one, not as fields.</summary>
    public static readonly IReadOnlyList<ApiField> PlanFields =
    [
        Supported("epoch", """{"type":"integer"}""", "Does not count: the next one is taken."),
        Supported("model", """{"type":"string"}""", "A label."),
        Supported("cuts", """{"type":"array","items":{"type":"integer"}}""", "Edges of slices in columns of FeedForwardDim."),
        Supported("bundles", """{"type":"array","items":{"type":"object"}}""", "{layer, tiles:[[expert,slice],...], workers:[id,...]}, and cold:[id,...] if wanted."),
    ];

    /// <param name="operations">Null where the experts are computed in this process.</param>
    public static void Map(IEndpointRouteBuilder routes, ClusterOperations? operations, int jsonDepth)
    {
        routes.MapPost("/cluster/move", async (HttpContext context) =>
        {
            var fields = await ReadAsync(context, MoveFields, jsonDepth);
            var (layer, bundle) = (fields.Integer("layer", 0, int.MaxValue) ?? throw Missing("layer"), fields.Integer("bundle", 0, int.MaxValue) ?? 0);
            var (from, to) = (Text(fields, "from"), Text(fields, "to"));
            await new OperationStream(context).RunAsync(progress => Cluster().MoveAsync(layer, bundle, from, to, progress));
        });
        routes.MapPost("/cluster/drain", async (HttpContext context) =>
        {
            var worker = Text(await ReadAsync(context, DrainFields, jsonDepth), "worker");
            await new OperationStream(context).RunAsync(progress => Cluster().DrainAsync(worker, progress));
        });
        routes.MapPost("/cluster/join", async (HttpContext context) =>
        {
            var address = Address(Text(await ReadAsync(context, JoinFields, jsonDepth), "address"));
            await new OperationStream(context).RunAsync(progress => Cluster().JoinAsync(address, progress));
        });
        routes.MapPost("/cluster/rebalance", async (HttpContext context) =>
        {
            await ReadAsync(context, [], jsonDepth);
            await new OperationStream(context).RunAsync(Cluster().RebalanceAsync);
        });
        routes.MapPost("/cluster/apply", async (HttpContext context) =>
        {
            var plan = Plan(Cluster(), await JsonBody.ReadAsync(context, PlanDepth));
            await new OperationStream(context).RunAsync(progress => Cluster().ApplyAsync(plan, progress));
        });

        ClusterOperations Cluster() => operations
            ?? throw new ApiException("this coordinator computes the experts itself, so there are no workers", null) { Status = StatusCodes.Status404NotFound, Code = "no_cluster" };
    }

    private static async Task<RequestFields> ReadAsync(HttpContext context, IReadOnlyList<ApiField> known, int jsonDepth) =>
        new(await JsonBody.ReadAsync(context, jsonDepth), known);

    private static string Text(RequestFields fields, string name) => fields.Text(name) is { Length: > 0 } text ? text : throw Missing(name);

    private static Plan Plan(ClusterOperations cluster, JsonElement body)
    {
        try
        {
            return cluster.Read(Encoding.UTF8.GetBytes(body.GetRawText()));
        }
        catch (PlanException e)
        {
            throw new ApiException(e.Message, null) { Code = "invalid_plan" };
        }
    }

    private static string Address(string text)
    {
        try
        {
            GrpcAddress.Parse(text);
            return text;
        }
        catch (FormatException e)
        {
            throw new ApiException(e.Message, "address");
        }
    }

    private static ApiException Missing(string name) => new($"{name} is missing", name);
}
