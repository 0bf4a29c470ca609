using System.Net;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Dashboard;
using Grok1Cluster.Coordinator.Hosting;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi;
using Grok1Cluster.Coordinator.Http.Operations;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Completions;
using Grok1Cluster.Coordinator.Http.OpenAi.Description;
using Grok1Cluster.Coordinator.Http.OpenAi.Models;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Coordinator.Logging;
using Grok1Cluster.Coordinator.Metrics;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Grok1Cluster.Grpc.Server;
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
/// The coordinator's HTTP API on Kestrel. It listens before there is a model, and answers 503 where it needs one. A request
/// passes, in this order: its id, observation, errors, routing, access, rate limit, its route. It handles no signals and
/// prints nothing.
/// </summary>
public sealed class CoordinatorServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ApiOptions _options;
    private readonly List<IDisposable> _owned = [];

    /// <summary>The routes that need a model; until there is one, nothing is found.</summary>
    private RequestDelegate _model = static context =>
    {
        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    };

    private CoordinatorServer(WebApplication application, ApiOptions options) => (_application, _options) = (application, options);

    /// <summary>Where the API listens.</summary>
    public string Url => Addresses.First();

    /// <summary>Where metrics, cluster and dashboard are; null where they have no port of their own.</summary>
    public string? AdminUrl => Addresses.Skip(1).FirstOrDefault();

    private ICollection<string> Addresses => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;

    /// <summary>Opens the ports; health, metrics and dashboard answer from now on.</summary>
    /// <param name="server">What they need; not disposed.</param>
    /// <param name="options">Without errors.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ArgumentException">The options have errors; the message lists all.</exception>
    /// <exception cref="IOException">Nothing can listen there; the message says what to do.</exception>
    public static async Task<CoordinatorServer> StartAsync(ServerContext server, ApiOptions options, CancellationToken cancel)
    {
        if (options.FindErrors() is [_, ..] errors)
            throw new ArgumentException(string.Join("; ", errors), nameof(options));
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, EmbeddedLifetime>();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.Limits.BodyBytes;
            kestrel.Listen(options.Address, options.Port);
            if (options.AdminPort is { } adminPort)
                kestrel.Listen(options.Address, adminPort, listen => listen.Use(next => connection =>
                {
                    connection.Features.Set(AdminConnection.Feature);
                    return next(connection);
                }));
        });
        var application = builder.Build();
        var coordinator = new CoordinatorServer(application, options);
        application.UseRequestIds();
        new RequestObservation(server.Readiness, server.Metrics, server.Log).Use(application);
        application.UseApiErrors(server.Log);
        application.UseRouting();
        application.UseAccess(options.Keys, options.AdminPort is not null);
        application.UseRateLimit(options.Limits.RequestsPerMinute, coordinator._owned);
        HealthRoutes.Map(application.MapGroup("").WithMetadata(OpenToAll.Metadata), server.Readiness);
        var admin = application.MapGroup("").WithMetadata(ForAdmin.Metadata);
        MetricsRoutes.Map(admin, server.Metrics.Collector);
        DashboardRoutes.Map(admin, server);
        application.UseEndpoints(_ => { });
        application.Run(context => coordinator._model(context));
        try
        {
            await application.StartAsync(cancel);
        }
        catch (Exception e)
        {
            await application.DisposeAsync();
            // Which of two ports it was, only the message tells.
            var (port, flag) = options.AdminPort is { } second && e.Message.Contains($":{second}:", StringComparison.Ordinal) ? (second, "--admin-port") : (options.Port, "--port");
            if (ListenFault.Of(new IPEndPoint(options.Address, port).ToString(), e, "--host", flag) is { } fault)
                throw fault;
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
        branch.UseAccess(_options.Keys, _options.AdminPort is not null);
        branch.UseEndpoints(routes =>
        {
            var admin = routes.MapGroup("").WithMetadata(ForAdmin.Metadata);
            ClusterRoutes.Map(admin, services);
            OperationRoutes.Map(admin, services.Session.Cluster?.Operations, _options.Limits.JsonDepth);
            var api = new ApiContext(new ServedModel(services.Session), services.Engine, _options.Limits, _options.Template, _options.KeepAlive, TimeProvider.System);
            CompletionRoutes.Map(routes, api);
            ChatRoutes.Map(routes, api);
            ModelRoutes.Map(routes, api);
            TokenRoutes.Map(routes, api);
            DescriptionRoutes.Map(routes);
        });
        branch.Run(_model);
        _model = branch.Build();
    }

    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
        foreach (var item in _owned)
            item.Dispose();
    }

    /// <summary>Leaves signals to the process around the server.</summary>
    private sealed class EmbeddedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
