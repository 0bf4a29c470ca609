using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Http2;

public class ConnectionLifeTests
{
    [Fact]
    public async Task A_server_that_falls_silent_is_given_up()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var channel = new GrpcChannel(listener.LocalEndpoint.ToString()!, new GrpcChannelOptions
        {
            KeepAlivePingDelay = TimeSpan.FromMilliseconds(100),
            KeepAlivePingTimeout = TimeSpan.FromMilliseconds(100),
        });
        var call = channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None);
        using var peer = new RawPeer(await listener.AcceptSocketAsync());
        peer.Send(RawPeer.Frame(0x4, 0, 0));
        Assert.Equal(GrpcStatusCode.Unavailable, (await Assert.ThrowsAsync<RpcException>(() => call)).Code);
    }

    [Fact]
    public async Task A_server_that_never_greets_is_given_up()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var channel = new GrpcChannel(listener.LocalEndpoint.ToString()!, new GrpcChannelOptions { ConnectTimeout = TimeSpan.FromMilliseconds(200) });
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unavailable, failure.Code);
    }

    [Fact]
    public async Task Calls_beyond_the_servers_limit_wait_for_their_turn()
    {
        await using var server = await TestServer.StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], MaxStreamsPerConnection = 2 }, GrpcTransport.Own);
        using var channel = server.Channel();
        var first = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        using var second = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        foreach (var chat in new[] { first, second })
        {
            await chat.WriteAsync([1], CancellationToken.None);
            Assert.True(await chat.Responses.MoveNextAsync(CancellationToken.None));
        }
        var third = channel.UnaryAsync(EchoService.Echo, [3], Conformance.Patient, CancellationToken.None);
        Assert.False(third.IsCompleted);
        await first.CompleteAsync(CancellationToken.None);
        Assert.False(await first.Responses.MoveNextAsync(CancellationToken.None));
        first.Dispose();
        Assert.Equal([3], await third);
    }

    [Fact]
    public async Task A_call_that_is_cancelled_while_it_is_opened_takes_no_stream_from_later_ones()
    {
        await using var server = await TestServer.StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], MaxStreamsPerConnection = 1 }, GrpcTransport.Own);
        using var transport = new OwnTransport(GrpcAddress.Parse(server.Address), new GrpcChannelOptions());
        (await OpenAsync(CancellationToken.None)).Close();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => OpenAsync(new CancellationToken(canceled: true)));
        (await OpenAsync(CancellationToken.None).WaitAsync(TestServer.Patience)).Close();

        Task<IClientStream> OpenAsync(CancellationToken cancel) => transport.OpenAsync("/echo/none", [], sendHeadersAtOnce: true, MessageScheduling.Pool, cancel).AsTask();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Mutual_tls_takes_known_clients_only(bool known)
    {
        using var certificate = Certificate();
        using var stranger = Certificate();
        await using var server = await TestServer.StartAsync(new GrpcServerOptions
        {
            Listen = ["127.0.0.1:0"],
            Tls = () => new SslServerAuthenticationOptions
            {
                ServerCertificate = certificate,
                ClientCertificateRequired = true,
                RemoteCertificateValidationCallback = (_, shown, _, _) => shown?.GetCertHashString() == certificate.GetCertHashString(),
            },
        }, GrpcTransport.Own);
        using var channel = server.Channel(new GrpcChannelOptions
        {
            Tls = () => new SslClientAuthenticationOptions
            {
                ClientCertificates = [known ? certificate : stranger],
                RemoteCertificateValidationCallback = (_, shown, _, _) => shown?.GetCertHashString() == certificate.GetCertHashString(),
            },
        });
        if (known)
            await Conformance.AllFourCallShapes(channel);
        else
            await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
    }

    [Theory]
    [InlineData(MessageScheduling.Inline, 0)]
    [InlineData(MessageScheduling.Inline, 50)]
    [InlineData(MessageScheduling.Pool, 0)]
    public async Task A_thread_of_its_own_reads_and_writes_a_stream(MessageScheduling scheduling, int spinMicroseconds)
    {
        var spin = TimeSpan.FromMicroseconds(spinMicroseconds);
        await using var server = await TestServer.StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0"], ReceiveSpin = spin }, GrpcTransport.Own);
        using var channel = server.Channel(new GrpcChannelOptions { ReceiveSpin = spin });
        await Task.Factory.StartNew(() =>
        {
            using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient with { Scheduling = scheduling }, CancellationToken.None);
            var responses = new BlockingMessageReader<byte[]>(chat.Responses);
            for (var i = 0; i < 300; i++)
            {
                chat.Write(Raw.Pattern(i * 100), CancellationToken.None);
                Assert.True(responses.MoveNext(spin, CancellationToken.None));
                Assert.Equal(Raw.Pattern(i * 100), responses.Current);
            }
        }, TaskCreationOptions.LongRunning).WaitAsync(TestServer.Patience);
    }

    private static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
