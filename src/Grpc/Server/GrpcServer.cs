using Grok1Cluster.Grpc.Http2;

namespace Grok1Cluster.Grpc.Server;

/// <summary>A gRPC server. It reads no configuration, handles no signals and prints nothing.</summary>
public sealed class GrpcServer : IAsyncDisposable
{
    private readonly IServerHost _host;

    private GrpcServer(IServerHost host) => _host = host;

    /// <summary>Where the server listens, with the ports it was given, in the order of <see cref="GrpcServerOptions.Listen"/>.</summary>
    public IReadOnlyList<GrpcAddress> Addresses => _host.Addresses;

    /// <summary>Opens the endpoints and serves <paramref name="services"/> from then on.</summary>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="FormatException">An address cannot be read.</exception>
    /// <exception cref="IOException">An address is in use.</exception>
    public static async Task<GrpcServer> StartAsync(GrpcServices services, GrpcServerOptions options, CancellationToken cancellationToken)
    {
        OptionsCheck.Valid(options);
        var wanted = options.Listen.Select(GrpcAddress.Parse).ToArray();
        var dispatcher = new GrpcDispatcher(services, options.Calls);
        foreach (var address in wanted)
            if (address.UnixPath is not null)
                StaleUnixSocket.Remove(address.UnixPath);
        return new GrpcServer(options.Transport == GrpcTransport.Own
            ? OwnHost.Start(wanted, dispatcher, options)
            : await KestrelHost.StartAsync(wanted, dispatcher, options, cancellationToken));
    }

    /// <summary>
    /// Takes no new calls (<see cref="ServerCallContext.ServerStopping"/> fires) and waits for those under way; what is left when
    /// <paramref name="cancellationToken"/> fires is aborted.
    /// </summary>
    public Task StopAsync(CancellationToken cancellationToken) => _host.StopAsync(cancellationToken);

    /// <summary>Stops at once: calls under way are aborted.</summary>
    public ValueTask DisposeAsync() => _host.DisposeAsync();
}
