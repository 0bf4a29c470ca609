using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;

namespace Grok1Cluster.Grpc.Tests.Support;

/// <summary>Our server with the echo service, or another, on a free port or a Unix socket.</summary>
public sealed class TestServer : IAsyncDisposable
{
    /// <summary>Room for the 16 MB messages.</summary>
    public const int LargeLimit = 20 << 20;

    /// <summary>How long a test waits for what must happen; never reached unless something is broken.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private TestServer(GrpcServer server, Task cancelled)
    {
        Server = server;
        CallCancelled = cancelled.WaitAsync(Patience);
    }

    public GrpcServer Server { get; }

    public string Address => Server.Addresses[0].ToString();

    /// <summary>Completes when a hanging call has seen its cancellation.</summary>
    public Task CallCancelled { get; }

    public static Task<TestServer> StartAsync() => StartAsync(new ServerCallOptions());

    public static Task<TestServer> StartAsync(ServerCallOptions calls) =>
        StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], Calls = calls });

    public static async Task<TestServer> StartAsync(GrpcServerOptions options)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return new TestServer(await GrpcServer.StartAsync(EchoService.Create(cancelled), options, CancellationToken.None), cancelled.Task);
    }

    public static async Task<TestServer> StartAsync(GrpcServices services) =>
        new(await GrpcServer.StartAsync(services, new GrpcServerOptions { Listen = ["127.0.0.1:0"] }, CancellationToken.None), Task.CompletedTask);

    public GrpcChannel Channel() => Channel(new GrpcChannelOptions());

    public GrpcChannel Channel(GrpcChannelOptions options) => new(Address, options);

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>A path for a Unix socket, short enough for the 108 bytes that the system allows.</summary>
    public static string SocketPath() => Path.Combine(Path.GetTempPath(), $"g1-{Guid.NewGuid():N}"[..16] + ".sock");
}
