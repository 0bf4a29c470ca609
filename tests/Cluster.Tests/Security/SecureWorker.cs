using System.Net;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Tests.Processes;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>A CA with the certificates of a small cluster, and one worker process that demands them.</summary>
public sealed class SecureWorker : IAsyncLifetime
{
    /// <summary>For what must happen; never reached unless something is broken.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly ModelFixture _models = new();
    private Grok1Process _process = null!;

    public TestAuthority Authority { get; } = new();

    public IPEndPoint EndPoint { get; private set; } = null!;

    public string Address => EndPoint.ToString();

    public int ProcessId => _process.Id;

    public async Task InitializeAsync()
    {
        var tls = Authority.Node(NodeRole.Worker, "worker-0");
        _process = Grok1Process.Start("worker", "--model", _models.Golden("tiny-b"), "--id", "worker-0", "--listen", "127.0.0.1:0", "--tls", tls, "--threads", "1");
        EndPoint = IPEndPoint.Parse(await AddressOfAsync(_process));
    }

    public Task DisposeAsync()
    {
        _process.Dispose();
        Authority.Dispose();
        _models.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>Where a worker process says that it listens.</summary>
    public static async Task<string> AddressOfAsync(Grok1Process worker)
    {
        var line = await worker.WaitForErrorLineAsync(line => line.Contains("listens on "));
        return line[(line.LastIndexOf(' ') + 1)..];
    }

    /// <summary>A channel to the worker with the certificate of a node's directory.</summary>
    public GrpcChannel Channel(string node) => Channel(Address, node, new PeerCheck(NodeRole.Worker));

    public static GrpcChannel Channel(string address, string node, PeerCheck check)
    {
        var credentials = NodeCredentials.Open(node, _ => { });
        return new GrpcChannel(address, new GrpcChannelOptions { Tls = () => credentials.Client(check), ConnectTimeout = Patience });
    }

    public static Task<DescribeResponse> DescribeAsync(GrpcChannel channel) =>
        channel.UnaryAsync(ExpertMethods.Describe, new DescribeRequest(), GrpcCallOptions.After(Patience), CancellationToken.None);

    /// <summary>A coordinator that comes now is served, after a few attempts if it must.</summary>
    public async Task ServesAsync()
    {
        using var limit = new CancellationTokenSource(Patience);
        using var channel = Channel(Authority.Coordinator);
        while (true)
            try
            {
                Assert.Equal("worker-0", (await DescribeAsync(channel)).WorkerId);
                return;
            }
            catch (RpcException e) when (e.Code == GrpcStatusCode.Unavailable && !limit.IsCancellationRequested)
            {
                // As a coordinator does: it tries again.
            }
    }
}
