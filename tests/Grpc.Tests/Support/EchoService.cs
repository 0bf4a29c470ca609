using System.Globalization;
using Grok1Cluster.Grpc.Server;

namespace Grok1Cluster.Grpc.Tests.Support;

/// <summary>The service that our server and the Python one both offer to the same tests.</summary>
public static class EchoService
{
    /// <summary>Unary: the request comes back.</summary>
    public static GrpcMethod<byte[], byte[]> Echo { get; } = Raw.BytesMethod("Echo");

    /// <summary>Server streaming: request "count", responses "0" to "count - 1".</summary>
    public static GrpcMethod<string, string> Count { get; } = Raw.TextMethod("Count");

    /// <summary>Client streaming: the requests, joined by commas.</summary>
    public static GrpcMethod<string, string> Join { get; } = Raw.TextMethod("Join");

    /// <summary>Duplex: each request comes back at once.</summary>
    public static GrpcMethod<byte[], byte[]> Chat { get; } = Raw.BytesMethod("Chat");

    /// <summary>Unary: fails with the code and message that the request "code message" names, and the trailer "why".</summary>
    public static GrpcMethod<string, string> Fail { get; } = Raw.TextMethod("Fail");

    /// <summary>Server streaming: one response, then the failure that the request names.</summary>
    public static GrpcMethod<string, string> FailLater { get; } = Raw.TextMethod("FailLater");

    /// <summary>Unary: waits until the call is cancelled.</summary>
    public static GrpcMethod<string, string> Hang { get; } = Raw.TextMethod("Hang");

    /// <summary>Server streaming: one response, then waits until the call is cancelled.</summary>
    public static GrpcMethod<string, string> HangLater { get; } = Raw.TextMethod("HangLater");

    /// <summary>Duplex: takes no message, and waits until the call is cancelled.</summary>
    public static GrpcMethod<string, string> Deaf { get; } = Raw.TextMethod("Deaf");

    /// <summary>Unary: sends the metadata "text" and "data-bin" back as headers and, with "-trailer" before the suffix, as trailers.</summary>
    public static GrpcMethod<string, string> Mirror { get; } = Raw.TextMethod("Mirror");

    /// <param name="cancelled">Completed when a hanging call has seen its cancellation.</param>
    public static GrpcServices Create(TaskCompletionSource cancelled) => new GrpcServices()
        .AddUnary(Echo, static (request, _) => Task.FromResult(request))
        .AddServerStreaming(Count, static async (request, responses, context) =>
        {
            for (var i = 0; i < int.Parse(request, CultureInfo.InvariantCulture); i++)
                await responses.WriteAsync(i.ToString(CultureInfo.InvariantCulture), context.CancellationToken);
        })
        .AddClientStreaming(Join, static async (requests, context) =>
        {
            var all = new List<string>();
            await foreach (var request in requests.ReadAllAsync(context.CancellationToken))
                all.Add(request);
            return string.Join(',', all);
        })
        .AddDuplexStreaming(Chat, static async (requests, responses, context) =>
        {
            await foreach (var request in requests.ReadAllAsync(context.CancellationToken))
                await responses.WriteAsync(request, context.CancellationToken);
        })
        .AddUnary(Fail, static (request, _) => Task.FromException<string>(Failure(request)))
        .AddServerStreaming(FailLater, static async (request, responses, context) =>
        {
            await responses.WriteAsync("first", context.CancellationToken);
            throw Failure(request);
        })
        .AddUnary(Hang, async (_, context) =>
        {
            context.CancellationToken.Register(() => cancelled.TrySetResult());
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
            return "";
        })
        .AddServerStreaming(HangLater, async (_, responses, context) =>
        {
            context.CancellationToken.Register(() => cancelled.TrySetResult());
            await responses.WriteAsync("first", context.CancellationToken);
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        })
        .AddDuplexStreaming(Deaf, static (_, _, context) => Task.Delay(Timeout.Infinite, context.CancellationToken))
        .AddUnary(Mirror, static (request, context) =>
        {
            context.ResponseHeaders.Add("text", context.RequestHeaders.Text("text")!);
            context.ResponseHeaders.Add("data-bin", context.RequestHeaders.Bytes("data-bin")!);
            context.ResponseTrailers.Add("text-trailer", context.RequestHeaders.Text("text")!);
            context.ResponseTrailers.Add("data-trailer-bin", context.RequestHeaders.Bytes("data-bin")!);
            return Task.FromResult(request);
        });

    private static RpcException Failure(string request)
    {
        var space = request.IndexOf(' ', StringComparison.Ordinal);
        var code = (GrpcStatusCode)int.Parse(request.AsSpan(0, space), CultureInfo.InvariantCulture);
        return new RpcException(new GrpcStatus(code, request[(space + 1)..]), new Metadata { { "why", "asked for" } });
    }
}
