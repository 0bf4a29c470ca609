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

    private readonly GrpcTransport _client;

    private TestServer(GrpcServer server, GrpcTransport client, Task cancelled)
    {
        Server = server;
        _client = client;
        CallCancelled = cancelled.WaitAsync(Patience);
    }

    public GrpcServer Server { get; }

    public string Address => Server.Addresses[0].ToString();

    /// <summary>Completes when a hanging call has seen its cancellation.</summary>
    public Task CallCancelled { get; }

    /// <summary>The echo service.</summary>
    /// <param name="options">Of the server.</param>
    /// <param name="client">What the channels to it use.</param>
    public static async Task<TestServer> StartAsync(GrpcServerOptions options, GrpcTransport client)
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return new TestServer(await GrpcServer.StartAsync(EchoService.Create(cancelled), options, CancellationToken.None), client, cancelled.Task);
    }

    public static async Task<TestServer> StartAsync(GrpcServices services, GrpcServerOptions options, GrpcTransport client) =>
        new(await GrpcServer.StartAsync(services, options, CancellationToken.None), client, Task.CompletedTask);

    public GrpcChannel Channel() => Channel(new GrpcChannelOptions());

    public GrpcChannel Channel(GrpcChannelOptions options) => new(Address, options with { Transport = _client });

    public ValueTask DisposeAsync() => Server.DisposeAsync();

    /// <summary>A path for a Unix socket, short enough for the 108 bytes that the system allows.</summary>
    public static string SocketPath() => Path.Combine(Path.GetTempPath(), $"g1-{Guid.NewGuid():N}"[..16] + ".sock");
}
