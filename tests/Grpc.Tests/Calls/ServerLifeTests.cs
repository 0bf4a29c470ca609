using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Tests.Support;

namespace Grok1Cluster.Grpc.Tests.Calls;

public abstract class ServerLifeTests(Transports transports) : TransportTests(transports)
{
    [Theory]
    [InlineData("127.0.0.1:1")]
    [InlineData("unix:/nowhere/at/all.sock")]
    public async Task A_server_that_is_not_there_is_unavailable(string address)
    {
        using var channel = Channel($"{address}");
        var failure = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unavailable, failure.Code);
        using var chat = channel.DuplexStreaming(EchoService.Chat, Conformance.Patient, CancellationToken.None);
        await Assert.ThrowsAsync<RpcException>(async () => await chat.WriteAsync([1], CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unavailable, (await chat.Completion).Code);
    }

    [Fact]
    public async Task A_peer_that_speaks_no_http2_is_reported()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using var channel = Channel(listener.LocalEndpoint.ToString()!);
        var call = channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None);
        using (var peer = await listener.AcceptSocketAsync())
            await peer.SendAsync("SSH-2.0-OpenSSH_9.2\r\n"u8.ToArray());
        await Assert.ThrowsAsync<RpcException>(() => call);
    }

    [Fact]
    public async Task When_the_server_goes_away_its_calls_end_and_a_new_server_is_found()
    {
        var path = TestServer.SocketPath();
        var options = new GrpcServerOptions { Listen = [$"unix:{path}"] };
        var first = await StartAsync(options);
        using var channel = first.Channel();
        using var call = channel.ServerStreaming(EchoService.HangLater, "", Conformance.Patient, CancellationToken.None);
        Assert.True(await call.Responses.MoveNextAsync(CancellationToken.None));
        await first.DisposeAsync();
        await Assert.ThrowsAsync<RpcException>(async () => await call.Responses.MoveNextAsync(CancellationToken.None));

        await using var second = await StartAsync(options);
        Assert.Equal([2], await channel.UnaryAsync(EchoService.Echo, [2], Conformance.Patient, CancellationToken.None));
    }

    [Fact]
    public async Task A_stopping_server_finishes_what_is_under_way()
    {
        var entered = new TaskCompletionSource();
        var services = new GrpcServices().AddUnary(EchoService.Echo, async (request, context) =>
        {
            var stopping = new TaskCompletionSource();
            context.ServerStopping.Register(stopping.SetResult);
            entered.SetResult();
            await stopping.Task;
            return request;
        });
        await using var server = await StartAsync(services);
        using var channel = server.Channel();
        var call = channel.UnaryAsync(EchoService.Echo, [9], Conformance.Patient, CancellationToken.None);
        await entered.Task;
        await server.Server.StopAsync(CancellationToken.None);
        Assert.Equal([9], await call);
    }

    [Fact]
    public async Task A_socket_file_left_by_a_killed_server_is_in_nobodys_way()
    {
        var path = TestServer.SocketPath();
        // A socket deletes its file when it is closed, unless the file has moved: what remains is what a kill leaves.
        var bound = TestServer.SocketPath();
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(bound));
            File.Move(bound, path);
        }
        Assert.True(File.Exists(path));
        await using var server = await StartAsync(new GrpcServerOptions { Listen = [$"unix:{path}"] });
        using var channel = server.Channel();
        Assert.Equal([1], await channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
    }

    [Fact]
    public async Task An_address_in_use_is_an_error_and_its_owner_lives_on()
    {
        var path = TestServer.SocketPath();
        await using var server = await StartAsync(new GrpcServerOptions { Listen = ["127.0.0.1:0", $"unix:{path}"] });
        foreach (var address in server.Server.Addresses)
            await Assert.ThrowsAnyAsync<IOException>(() => StartAsync(new GrpcServerOptions { Listen = [address.ToString()] }));
        foreach (var address in server.Server.Addresses)
        {
            using var channel = Channel($"{address}");
            await channel.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None);
        }
    }

    [Fact]
    public async Task An_ordinary_file_in_the_place_of_a_socket_is_left_alone()
    {
        var path = TestServer.SocketPath();
        await File.WriteAllTextAsync(path, "precious");
        try
        {
            await Assert.ThrowsAnyAsync<IOException>(() => StartAsync(new GrpcServerOptions { Listen = [$"unix:{path}"] }));
            Assert.Equal("precious", await File.ReadAllTextAsync(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Theory]
    [InlineData("example.com:5000")]
    [InlineData("nonsense")]
    public async Task An_address_that_cannot_be_listened_on_is_refused(string address) =>
        await Assert.ThrowsAsync<FormatException>(() => StartAsync(new GrpcServerOptions { Listen = [address] }));

    [Fact]
    public async Task Tls_carries_every_call_shape()
    {
        using var key = RSA.Create(2048);
        using var certificate = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await using var server = await StartAsync(new GrpcServerOptions
        {
            Listen = ["127.0.0.1:0"],
            Tls = () => new SslServerAuthenticationOptions { ServerCertificate = certificate },
        });
        using (var trusting = server.Channel(new GrpcChannelOptions { Tls = () => Trusting(certificate) }))
            await Conformance.AllFourCallShapes(trusting);

        using var wary = server.Channel(new GrpcChannelOptions { Tls = () => new SslClientAuthenticationOptions() });
        var failure = await Assert.ThrowsAsync<RpcException>(() => wary.UnaryAsync(EchoService.Echo, [1], Conformance.Patient, CancellationToken.None));
        Assert.Equal(GrpcStatusCode.Unavailable, failure.Code);
    }

    [Fact]
    public async Task A_call_is_refused_before_its_handler_where_the_certificate_may_not_make_it()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        var asked = new List<(string Method, string? Subject)>();
        var seen = new TaskCompletionSource<string?>();
        var services = new GrpcServices().AddUnary(EchoService.Echo, (request, context) =>
        {
            seen.TrySetResult(context.PeerCertificate?.Subject);
            return Task.FromResult(request);
        }).AddUnary(EchoService.Hang, (_, _) => throw new InvalidOperationException("the handler was told"));
        await using var server = await TestServer.StartAsync(services, On(new GrpcServerOptions
        {
            Listen = ["127.0.0.1:0"],
            Tls = () => new SslServerAuthenticationOptions
            {
                ServerCertificate = certificate, ClientCertificateRequired = true, RemoteCertificateValidationCallback = (_, shown, _, _) => shown is not null,
            },
            Calls = new ServerCallOptions
            {
                Authorize = (method, shown) =>
                {
                    lock (asked)
                        asked.Add((method, shown?.Subject));
                    return method == EchoService.Echo.Path ? GrpcStatus.Ok : new GrpcStatus(GrpcStatusCode.PermissionDenied, "not for you");
                },
            },
        }), GrpcTransport.Own);
        using var channel = Channel(server.Address, new GrpcChannelOptions { Tls = () => Trusting(certificate, shown: certificate) });
        Assert.Equal([7], await channel.UnaryAsync(EchoService.Echo, [7], Conformance.Patient, CancellationToken.None));
        Assert.Equal("CN=localhost", await seen.Task);
        var refused = await Assert.ThrowsAsync<RpcException>(() => channel.UnaryAsync(EchoService.Hang, "", Conformance.Patient, CancellationToken.None));
        Assert.Equal((GrpcStatusCode.PermissionDenied, "not for you"), (refused.Code, refused.Status.Message));
        Assert.Equal([(EchoService.Echo.Path, "CN=localhost"), (EchoService.Hang.Path, "CN=localhost")], asked);
    }

    private static SslClientAuthenticationOptions Trusting(X509Certificate2 certificate, X509Certificate2 shown) => new()
    {
        ClientCertificates = [shown],
        RemoteCertificateValidationCallback = (_, presented, _, _) => presented!.GetCertHashString() == certificate.GetCertHashString(),
    };

    private static SslClientAuthenticationOptions Trusting(X509Certificate2 certificate) => new()
    {
        RemoteCertificateValidationCallback = (_, presented, _, _) => presented!.GetCertHashString() == certificate.GetCertHashString(),
    };
}

public sealed class OwnServerLifeTests() : ServerLifeTests(Transports.Own);

public sealed class StockServerLifeTests() : ServerLifeTests(Transports.Stock);
