using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Grok1Cluster.Grpc.Server;

/// <summary>Listens with Kestrel.</summary>
internal sealed class KestrelHost : IServerHost
{
    private readonly WebApplication _application;

    private KestrelHost(WebApplication application, IReadOnlyList<GrpcAddress> addresses)
    {
        _application = application;
        Addresses = addresses;
    }

    public IReadOnlyList<GrpcAddress> Addresses { get; }

    /// <summary>Opens the endpoints.</summary>
    /// <exception cref="IOException">An address is in use.</exception>
    public static async Task<IServerHost> StartAsync(
        IReadOnlyList<GrpcAddress> wanted, GrpcDispatcher dispatcher, GrpcServerOptions options, CancellationToken cancellationToken)
    {
        var bound = new List<ListenOptions>();

        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<IHostLifetime, EmbeddedLifetime>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            ConfigureLimits(kestrel, options);
            foreach (var address in wanted)
                Listen(kestrel, address, endpoint => bound.Add(Configure(endpoint, options)));
        });
        var application = builder.Build();
        application.Run(context => dispatcher.DispatchAsync(new KestrelStream(context)));
        try
        {
            await application.StartAsync(cancellationToken);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
        return new KestrelHost(application, [.. wanted.Zip(bound, Resolve)]);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _application.StopAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await StopAsync(new CancellationToken(canceled: true));
        await _application.DisposeAsync();
    }

    private static void ConfigureLimits(KestrelServerOptions kestrel, GrpcServerOptions options)
    {
        kestrel.AddServerHeader = false;
        var limits = kestrel.Limits;
        limits.MaxRequestBodySize = null;
        // A peer that reads slowly is held back by flow control, not punished; one that is gone is found by pings.
        limits.MinRequestBodyDataRate = null;
        limits.MinResponseDataRate = null;
        limits.Http2.KeepAlivePingDelay = options.KeepAlivePingDelay;
        limits.Http2.KeepAlivePingTimeout = options.KeepAlivePingTimeout;
        limits.Http2.InitialStreamWindowSize = options.StreamWindowBytes;
        limits.Http2.InitialConnectionWindowSize = Math.Max(options.ConnectionWindowBytes, options.StreamWindowBytes);
        limits.Http2.MaxFrameSize = options.MaxFrameBytes;
        limits.Http2.MaxStreamsPerConnection = options.MaxStreamsPerConnection;
    }

    private static void Listen(KestrelServerOptions kestrel, GrpcAddress address, Action<ListenOptions> configure)
    {
        if (address.UnixPath is not null)
            kestrel.ListenUnixSocket(address.UnixPath, configure);
        else if (address.Host == "*")
            kestrel.ListenAnyIP(address.Port, configure);
        else if (address.Host == "localhost")
            kestrel.Listen(IPAddress.Loopback, address.Port, configure);
        else if (IPAddress.TryParse(address.Host, out var ip))
            kestrel.Listen(ip, address.Port, configure);
        else
            throw new FormatException($"cannot listen on '{address}': the host must be an IP address, localhost or *");
    }

    private static ListenOptions Configure(ListenOptions endpoint, GrpcServerOptions options)
    {
        endpoint.Protocols = HttpProtocols.Http2;
        if (options.Tls is { } tls && endpoint.SocketPath is null)
            endpoint.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(tls()) });
        return endpoint;
    }

    private static GrpcAddress Resolve(GrpcAddress wanted, ListenOptions bound) =>
        bound.IPEndPoint is { } ip ? GrpcAddress.Tcp(wanted.Host == "*" ? "*" : ip.Address.ToString(), ip.Port) : wanted;

    /// <summary>Leaves signals to the process around the server.</summary>
    private sealed class EmbeddedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
