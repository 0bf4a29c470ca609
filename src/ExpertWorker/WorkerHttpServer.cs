using System.Net;
using Grok1Cluster.Cluster.Metrics;
using Grok1Cluster.Grpc.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grok1Cluster.ExpertWorker;

/// <summary><c>/metrics</c>, <c>/health/live</c> and <c>/health/ready</c> of a worker; it is started just before the worker is ready.</summary>
public sealed class WorkerHttpServer : IAsyncDisposable
{
    private readonly WebApplication _application;

    private WorkerHttpServer(WebApplication application) => _application = application;

    /// <summary>Where it listens.</summary>
    public string Url => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <param name="metrics">What <c>/metrics</c> shows.</param>
    /// <param name="isReady">What <c>/health/ready</c> tells.</param>
    /// <param name="address">Where to listen.</param>
    /// <param name="port">0 takes a free one.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">Nothing can listen there; the message says what to do.</exception>
    public static async Task<WorkerHttpServer> StartAsync(MetricCollector metrics, Func<bool> isReady, IPAddress address, int port, CancellationToken cancel)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<IHostLifetime, EmbeddedLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 0;
            kestrel.Listen(address, port);
        });
        var application = builder.Build();
        application.Run(context => AnswerAsync(context, metrics, isReady));
        try
        {
            await application.StartAsync(cancel);
        }
        catch (Exception e)
        {
            await application.DisposeAsync();
            if (ListenFault.Of(new IPEndPoint(address, port).ToString(), e, "--http-host", "--http-port") is { } fault)
                throw fault;
            throw;
        }
        return new WorkerHttpServer(application);
    }

    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
    }

    private static Task AnswerAsync(HttpContext context, MetricCollector metrics, Func<bool> isReady)
    {
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
        {
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            return Task.CompletedTask;
        }
        context.Response.ContentType = "text/plain; charset=utf-8";
        switch (context.Request.Path.Value)
        {
            case "/metrics":
                context.Response.ContentType = MetricCollector.ContentType;
                return context.Response.WriteAsync(metrics.Write(), context.RequestAborted);
            case "/health/ready" when !isReady():
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                return context.Response.WriteAsync("not ready\n", context.RequestAborted);
            case "/health/live" or "/health/ready":
                return context.Response.WriteAsync("ready\n", context.RequestAborted);
            default:
                context.Response.StatusCode = StatusCodes.Status404NotFound;
                return context.Response.WriteAsync("/metrics, /health/live, /health/ready\n", context.RequestAborted);
        }
    }

    /// <summary>Leaves signals to the process around the server.</summary>
    private sealed class EmbeddedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
