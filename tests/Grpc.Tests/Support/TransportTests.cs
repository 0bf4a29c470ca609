using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;

namespace Grok1Cluster.Grpc.Tests.Support;

/// <summary>Which HTTP/2 carries a test: what our client calls by, and what our server serves by.</summary>
public readonly record struct Transports(GrpcTransport Client, GrpcTransport Server)
{
    public static Transports Own => new(GrpcTransport.Own, GrpcTransport.Own);

    public static Transports Stock => new(GrpcTransport.Stock, GrpcTransport.Stock);

    public static Transports OwnToStock => new(GrpcTransport.Own, GrpcTransport.Stock);

    public static Transports StockToOwn => new(GrpcTransport.Stock, GrpcTransport.Own);
}

/// <summary>Tests that must pass whatever HTTP/2 carries them; a class for each choice derives from the class that holds them.</summary>
public abstract class TransportTests(Transports transports)
{
    protected Task<TestServer> StartAsync() => StartAsync(new ServerCallOptions());

    protected Task<TestServer> StartAsync(ServerCallOptions calls) => StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = calls });

    protected Task<TestServer> StartAsync(GrpcServerOptions options) =>
        TestServer.StartAsync(options with { Transport = transports.Server }, transports.Client);

    protected Task<TestServer> StartAsync(GrpcServices services) =>
        TestServer.StartAsync(services, new GrpcServerOptions { Listen = ["127.0.0.1:0"], Transport = transports.Server }, transports.Client);

    protected GrpcChannel Channel(string address) => Channel(address, new GrpcChannelOptions());

    protected GrpcChannel Channel(string address, GrpcChannelOptions options) => new(address, options with { Transport = transports.Client });

    protected GrpcServerOptions On(GrpcServerOptions options) => options with { Transport = transports.Server };
}
