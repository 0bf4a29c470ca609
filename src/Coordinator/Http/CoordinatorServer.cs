using System.Net;
using Grok1Cluster.Cluster.Load;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Engine;
using Microsoft.AspNetCore.Builder;
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

/// <summary>The coordinator's HTTP API on Kestrel. It handles no signals and prints nothing.</summary>
public sealed class CoordinatorServer : IAsyncDisposable
{
    private const int MaxRequestBytes = 16 << 20;

    private readonly WebApplication _application;

    private CoordinatorServer(WebApplication application) => _application = application;

    /// <summary>Where it listens.</summary>
    public string Url => _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();

    /// <summary>Opens the port and serves.</summary>
    /// <param name="services">What the routes need; not disposed.</param>
    /// <param name="address">The address to listen on.</param>
    /// <param name="port">The port, 0 for a free one.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">The port is in use.</exception>
    public static async Task<CoordinatorServer> StartAsync(CoordinatorServices services, IPAddress address, int port, CancellationToken cancel)
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
        application.UseRouting();
        HealthRoutes.Map(application);
        ClusterRoutes.Map(application, services);
        CompletionRoutes.Map(application, services);
        try
        {
            await application.StartAsync(cancel);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
        return new CoordinatorServer(application);
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
