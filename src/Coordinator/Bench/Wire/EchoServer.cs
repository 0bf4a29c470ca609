using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Server;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>A gRPC server that sends every message back, and channels to it.</summary>
internal sealed class EchoServer : IAsyncDisposable
{
    private const int MaxMessageBytes = 16 << 20;

    private readonly GrpcServer _server;
    private readonly GrpcTransport _transport;
    private readonly X509Certificate2? _certificate;

    private EchoServer(GrpcServer server, GrpcTransport transport, X509Certificate2? certificate) =>
        (_server, _transport, _certificate) = (server, transport, certificate);

    /// <param name="listen">Address, as <see cref="GrpcAddress.Parse"/> reads it.</param>
    /// <param name="mutualTls">Whether both sides show a certificate.</param>
    public static async Task<EchoServer> StartAsync(string listen, GrpcTransport transport, bool mutualTls)
    {
        var certificate = mutualTls ? Certificate() : null;
        var services = new GrpcServices().AddDuplexStreaming(Messages.Echo, static async (requests, responses, context) =>
        {
            while (await requests.MoveNextAsync(context.CancellationToken))
                await responses.WriteAsync(requests.Current, context.CancellationToken);
        }, MessageScheduling.Inline);
        var options = new GrpcServerOptions
        {
            Listen = [listen],
            Transport = transport,
            Calls = new ServerCallOptions { MaxReceiveMessageBytes = MaxMessageBytes },
            Tls = certificate is null ? null : () => new SslServerAuthenticationOptions
            {
                ServerCertificate = certificate,
                ClientCertificateRequired = true,
                RemoteCertificateValidationCallback = (_, shown, _, _) => shown?.GetCertHashString() == certificate.GetCertHashString(),
            },
        };
        return new EchoServer(await GrpcServer.StartAsync(services, options, CancellationToken.None), transport, certificate);
    }

    public GrpcChannel Channel() => new(_server.Addresses[0], new GrpcChannelOptions
    {
        Transport = _transport,
        MaxReceiveMessageBytes = MaxMessageBytes,
        Tls = _certificate is null ? null : () => new SslClientAuthenticationOptions
        {
            ClientCertificates = [_certificate],
            RemoteCertificateValidationCallback = (_, shown, _, _) => shown?.GetCertHashString() == _certificate.GetCertHashString(),
        },
    });

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _certificate?.Dispose();
    }

    private static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
