using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Health;
using Grok1Cluster.Protos.Expert.V1;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Security;

/// <summary>Whoever comes to a worker's port without the right certificate gets nothing, and the coordinators are served on.</summary>
[Collection(nameof(Alone))]
public sealed class HostilePeerTests(SecureWorker worker) : IClassFixture<SecureWorker>
{
    private const int Flood = 10_000;

    /// <summary>Connections that the flood keeps open; the system's limit of handles is not what is tested.</summary>
    private const int Held = 600;

    [Theory]
    [InlineData("no certificate")]
    [InlineData("a foreign CA's")]
    [InlineData("an expired one")]
    public async Task A_peer_without_a_good_certificate_is_refused_before_any_call(string certificate)
    {
        var check = new PeerCheck(NodeRole.Worker);
        using var channel = certificate switch
        {
            "no certificate" => new GrpcChannel(worker.Address, new GrpcChannelOptions
            {
                Tls = static () => new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = static (_, _, _, _) => true },
            }),
            "a foreign CA's" => SecureWorker.Channel(worker.Address, worker.Authority.Foreign(), check),
            _ => SecureWorker.Channel(worker.Address, worker.Authority.Expired(), check),
        };
        var failure = await Assert.ThrowsAsync<RpcException>(() => SecureWorker.DescribeAsync(channel));
        Assert.Equal(GrpcStatusCode.Unavailable, failure.Code);
        Assert.Null(check.Refusal);
        await worker.ServesAsync();
    }

    [Theory]
    [InlineData(NodeRole.Worker, false)]
    [InlineData(NodeRole.Operator, true)]
    public async Task A_certificate_of_another_role_cannot_act_as_a_coordinator(NodeRole role, bool mayDescribe)
    {
        using var channel = worker.Channel(worker.Authority.Node(role, "other"));
        Assert.True(await channel.IsServingAsync(HealthService.WholeServer, SecureWorker.Patience, CancellationToken.None));
        if (mayDescribe)
            Assert.Equal("worker-0", (await SecureWorker.DescribeAsync(channel)).WorkerId);
        else
            Assert.Equal(GrpcStatusCode.PermissionDenied, (await Assert.ThrowsAsync<RpcException>(() => SecureWorker.DescribeAsync(channel))).Code);
        using var stream = channel.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.After(SecureWorker.Patience), CancellationToken.None);
        var refused = await Assert.ThrowsAsync<RpcException>(async () => await stream.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal(GrpcStatusCode.PermissionDenied, refused.Code);
        Assert.Contains($"{NodeIdentity.NameOf(role)} other may not call /grok1.expert.v1.ExpertService/Process", refused.Status.Message);
    }

    [Theory]
    [InlineData("plain HTTP/1", "GET / HTTP/1.1\r\nHost: worker\r\n\r\n")]
    [InlineData("HTTP/2 in clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0")]
    [InlineData("a TLS record that lies about its length", "\u0016\u0003\u0001\u007f\u007fxxxxxxxxxxxxxxxxxxxxxxxx")]
    [InlineData("garbage", "\u0001\u0002\u0003garbage that is no protocol at all, and goes on for a while")]
    public async Task What_is_not_tls_is_hung_up_on(string what, string sent)
    {
        Assert.NotEmpty(what);
        using var socket = await ConnectAsync();
        await socket.SendAsync(Encoding.Latin1.GetBytes(sent));
        // More than it may wait for: what it has announced does not come.
        socket.Shutdown(SocketShutdown.Send);
        await HangsUpAsync(socket);
        await worker.ServesAsync();
    }

    [Fact]
    public async Task Slow_handshakes_take_no_place_from_coordinators()
    {
        using var early = worker.Channel(worker.Authority.Coordinator);
        await SecureWorker.DescribeAsync(early);
        var slow = new List<Socket>();
        try
        {
            for (var i = 0; i < Held; i++)
            {
                slow.Add(await ConnectAsync());
                // The begin of a ClientHello, whose rest never comes.
                await slow[^1].SendAsync(new byte[] { 0x16, 3, 1, 0, 200, 1, 0 });
            }
            Assert.Equal("worker-0", (await SecureWorker.DescribeAsync(early)).WorkerId);
            await worker.ServesAsync();
        }
        finally
        {
            slow.ForEach(socket => socket.Dispose());
        }
    }

    [Fact]
    public async Task A_slow_sender_with_a_good_certificate_holds_up_nobody()
    {
        var credentials = NodeCredentials.Open(worker.Authority.Coordinator, _ => { });
        var options = credentials.Client(new PeerCheck(NodeRole.Worker));
        options.TargetHost = worker.EndPoint.Address.ToString();
        options.ApplicationProtocols = [SslApplicationProtocol.Http2];
        using var slow = new SslStream(new NetworkStream(await ConnectAsync(), ownsSocket: true));
        await slow.AuthenticateAsClientAsync(options);
        // A stream of calls that has begun a message of 32 MiB, and sends no more than its first bytes.
        await slow.WriteAsync((byte[])[
            .. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 0, 4, 0, 0, 0, 0, 0, .. ProcessHeaders(),
            0, 0, 105, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 10]);
        await worker.ServesAsync();
        using var other = worker.Channel(worker.Authority.Coordinator);
        using var stream = other.DuplexStreaming(ExpertMethods.Process, GrpcCallOptions.After(SecureWorker.Patience), CancellationToken.None);
        await stream.WriteAsync(new ProcessRequest { Call = new ExpertCall { Id = 1 } }, CancellationToken.None);
        Assert.True(await stream.Responses.MoveNextAsync(CancellationToken.None));
        Assert.Equal(1ul, stream.Responses.Current.Failure.Id);
    }

    /// <summary>HEADERS that open stream 1 with a call of Process, written with literals of HPACK.</summary>
    private static byte[] ProcessHeaders()
    {
        var path = "/grok1.expert.v1.ExpertService/Process"u8;
        var type = "application/grpc"u8;
        byte[] block = [0x83, 0x87, 0x04, (byte)path.Length, .. path, 0x01, 6, .. "worker"u8, 0x0f, 0x10, (byte)type.Length, .. type];
        return [0, 0, (byte)block.Length, 1, 4, 0, 0, 0, 1, .. block];
    }

    [Fact]
    public async Task Ten_thousand_connections_are_refused_while_coordinators_are_served_and_memory_stays_bounded()
    {
        using var early = worker.Channel(worker.Authority.Coordinator);
        await SecureWorker.DescribeAsync(early);
        using var process = Process.GetProcessById(worker.ProcessId);
        var before = process.WorkingSet64;
        var held = new Queue<Socket>();
        for (var i = 0; i < Flood; i++)
        {
            if (held.Count == Held)
                held.Dequeue().Dispose();
            held.Enqueue(await ConnectAsync());
            if (i % (Flood / 4) == Flood / 8)
            {
                Assert.Equal("worker-0", (await SecureWorker.DescribeAsync(early)).WorkerId);
                await worker.ServesAsync();
            }
        }
        process.Refresh();
        Assert.InRange(process.WorkingSet64 - before, long.MinValue, 256L << 20);
        Assert.InRange(process.Threads.Count, 1, 600);
        // Those that said nothing are sent away in the end, by others or by the clock.
        foreach (var socket in held.Take(10))
            await HangsUpAsync(socket);
        while (held.TryDequeue(out var socket))
            socket.Dispose();
        await worker.ServesAsync();
    }

    private async Task<Socket> ConnectAsync()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var limit = new CancellationTokenSource(SecureWorker.Patience);
        await socket.ConnectAsync(worker.EndPoint, limit.Token);
        return socket;
    }

    /// <summary>Reads until the worker has closed the connection; an alert of TLS may come before.</summary>
    private static async Task HangsUpAsync(Socket socket)
    {
        using var limit = new CancellationTokenSource(SecureWorker.Patience);
        try
        {
            while (await socket.ReceiveAsync(new byte[1024], limit.Token) > 0)
            {
            }
        }
        catch (SocketException)
        {
            // It was reset: that is hanging up too.
        }
    }
}
