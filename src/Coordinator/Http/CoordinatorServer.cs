using System.Net;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Dashboard;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>What the routes need.</summary>
/// <param name="Session">The model and its workers.</param>
/// <param name="Engine">Takes requests.</param>
/// <param name="Load">Counts what the experts are given.</param>
public sealed record CoordinatorServices(ClusterSession Session, InferenceEngine Engine, ExpertLoad Load);

/// <summary>What is there before there is a model.</summary>
/// <param name="Readiness">Which requests are let in.</param>
/// <param name="Metrics">Counts requests.</param>
/// <param name="Log">Logs them.</param>
/// <param name="Status">The cluster as it is shown.</param>
public sealed record ServerContext(Readiness Readiness, CoordinatorMetrics Metrics, CoordinatorLog Log, StatusSampler Status);

/// <summary>
/// The coordinator's HTTP API on Kestrel. It listens before there is a model, and answers 503 where it needs one. It handles
/// no signals and prints nothing.
/// </summary>
public sealed class CoordinatorServer : IAsyncDisposable
{
    private const int MaxRequestBytes = 16 << 20;

    private readonly WebApplication _application;
    private RequestDelegate _api = static context => ApiError.WriteAsync(context, StatusCodes.Status404NotFound, $"there is no {context.Request.Path}", null, "not_found");

    private CoordinatorServer(WebApplication application) => _application = application;

    /// <summary>Where it listens.</summary>
    public string Url => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <summary>Opens the port; health, metrics and dashboard answer from now on.</summary>
    /// <param name="server">What they need; not disposed.</param>
    /// <param name="address">The address to listen on.</param>
    /// <param name="port">The port, 0 for a free one.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">The port is in use.</exception>
    public static async Task<CoordinatorServer> StartAsync(ServerContext server, IPAddress address, int port, CancellationToken cancel)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, EmbeddedLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxRequestBytes;
            kestrel.Listen(address, port);
        });
        var application = builder.Build();
        var coordinator = new CoordinatorServer(application);
        new RequestObservation(server.Readiness, server.Metrics, server.Log).Use(application);
        application.UseRouting();
        HealthRoutes.Map(application, server.Readiness);
        MetricsRoutes.Map(application, server.Metrics.Collector);
        DashboardRoutes.Map(application, server);
        application.UseEndpoints(_ => { });
        application.Run(context => coordinator._api(context));
        try
        {
            await application.StartAsync(cancel);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
        return coordinator;
    }

    /// <summary>Adds the routes that need a model.</summary>
    /// <param name="services">What they need; not disposed.</param>
    public void Serve(CoordinatorServices services)
    {
        var branch = ((IApplicationBuilder)_application).New();
        branch.UseRouting();
        branch.UseEndpoints(routes =>
        {
            ClusterRoutes.Map(routes, services);
            CompletionRoutes.Map(routes, services);
        });
        branch.Run(_api);
        _api = branch.Build();
    }

    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
    }

    /// <summary>Leaves signals to the process around the server.</summary>
    private sealed class EmbeddedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
