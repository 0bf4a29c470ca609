using Grok1Cluster.Grpc.Wire;
using Microsoft.AspNetCore.Builder;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Puts gRPC methods on an ASP.NET Core application.</summary>
public static class GrpcMiddleware
{
    /// <summary>
    /// Serves requests of gRPC's content type and requests for the paths of <paramref name="services"/>; the rest goes on to the application's own
    /// routes. The endpoint must speak HTTP/2, and without TLS nothing else.
    /// </summary>
    public static IApplicationBuilder UseGrpc(this IApplicationBuilder application, GrpcServices services, ServerCallOptions options)
    {
        var dispatcher = new GrpcDispatcher(services, options);
        return application.Use(next => context =>
            HeaderNames.IsGrpc(context.Request.ContentType) || dispatcher.Knows(context.Request.Path.Value ?? "")
                ? dispatcher.DispatchAsync(new KestrelStream(context))
                : next(context));
    }
}
