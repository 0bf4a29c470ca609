using System.Net;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Http.Auth;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Limits;
using Grok1Cluster.Coordinator.Http.OpenAi;
using Grok1Cluster.Coordinator.Http.OpenAi.Chat;
using Grok1Cluster.Coordinator.Http.OpenAi.Completions;
using Grok1Cluster.Coordinator.Http.OpenAi.Description;
using Grok1Cluster.Coordinator.Http.OpenAi.Models;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Http.Tokens;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>What the routes need.</summary>
/// <param name="Session">The model and its workers.</param>
/// <param name="Engine">Takes requests.</param>
/// <param name="Load">Counts what the experts are given.</param>
public sealed record CoordinatorServices(ClusterSession Session, InferenceEngine Engine, ExpertLoad Load);

/// <summary>
/// The coordinator's HTTP API on Kestrel. A request passes, in this order: its id, errors, routing, access, rate limit, its
/// route. It handles no signals and prints nothing.
/// </summary>
public sealed class CoordinatorServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly IReadOnlyList<IDisposable> _owned;

    private CoordinatorServer(WebApplication application, IReadOnlyList<IDisposable> owned) => (_application, _owned) = (application, owned);

    /// <summary>Where the API listens.</summary>
    public string Url => Addresses.First();

    /// <summary>Where metrics, cluster and dashboard are; null where they have no port of their own.</summary>
    public string? AdminUrl => Addresses.Skip(1).FirstOrDefault();

    private ICollection<string> Addresses => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;

    /// <summary>Opens the ports and serves.</summary>
    /// <param name="services">What the routes need; not disposed.</param>
    /// <param name="options">Without errors.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ArgumentException">The options have errors; the message lists all.</exception>
    /// <exception cref="IOException">A port is in use.</exception>
    public static async Task<CoordinatorServer> StartAsync(CoordinatorServices services, ApiOptions options, CancellationToken cancel)
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
        var owned = new List<IDisposable>();
        application.UseRequestIds();
        application.UseApiErrors();
        application.UseRouting();
        application.UseAccess(options.Keys, options.AdminPort is not null);
        application.UseRateLimit(options.Limits.RequestsPerMinute, owned);
        MapRoutes(application, services, options);
        try
        {
            await application.StartAsync(cancel);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
        return new CoordinatorServer(application, owned);
    }

    public async ValueTask DisposeAsync()
    {
        await _application.StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
        foreach (var item in _owned)
            item.Dispose();
    }

    private static void MapRoutes(WebApplication application, CoordinatorServices services, ApiOptions options)
    {
        HealthRoutes.Map(application.MapGroup("").WithMetadata(OpenToAll.Metadata));
        ClusterRoutes.Map(application.MapGroup("").WithMetadata(ForAdmin.Metadata), services);
        var api = new ApiContext(new ServedModel(services.Session), services.Engine, options.Limits, options.Template, TimeProvider.System);
        CompletionRoutes.Map(application, api);
        ChatRoutes.Map(application, api);
        ModelRoutes.Map(application, api);
        TokenRoutes.Map(application, api);
        DescriptionRoutes.Map(application);
    }

    /// <summary>Leaves signals to the process around the server.</summary>
    private sealed class EmbeddedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
