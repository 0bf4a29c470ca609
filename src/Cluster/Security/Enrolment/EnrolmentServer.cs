using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Protos.Security.V1;

namespace Grok1Cluster.Cluster.Security.Enrolment;

/// <summary>
/// Gives certificates for join tokens, over TLS. A process of its own beside the CA, needed only while machines join: no coordinator
/// and no worker ever has the CA's key.
/// </summary>
public sealed class EnrolmentServer : IAsyncDisposable
{
    private const string P256 = "1.2.840.10045.3.1.7";
    private static readonly TimeSpan OwnLifetime = TimeSpan.FromDays(365);

    private readonly ClusterAuthority _authority;
    private readonly TokenStore _tokens;
    private readonly Action<string> _note;
    private GrpcServer _server = null!;

    private EnrolmentServer(ClusterAuthority authority, TokenStore tokens, Action<string> note) => (_authority, _tokens, _note) = (authority, tokens, note);

    /// <summary>Where it listens, with the port it was given.</summary>
    public GrpcAddress Address => _server.Addresses[0];

    /// <summary>Begins to serve.</summary>
    /// <param name="authority">Signs.</param>
    /// <param name="tokens">Which tokens are good.</param>
    /// <param name="listen">Address, as <see cref="GrpcAddress.Parse"/> reads it.</param>
    /// <param name="note">Told of every certificate that was given, and every token that was refused.</param>
    /// <param name="cancel">Gives up starting.</param>
    /// <exception cref="IOException">The address is in use.</exception>
    public static async Task<EnrolmentServer> StartAsync(ClusterAuthority authority, TokenStore tokens, string listen, Action<string> note, CancellationToken cancel)
    {
        var server = new EnrolmentServer(authority, tokens, note);
        var services = new GrpcServices().AddUnary(EnrolmentMethods.GetAuthority, server.GetAuthorityAsync).AddUnary(EnrolmentMethods.Enrol, server.EnrolAsync);
        // Whoever joins knows this service by its role and the CA in the token, wherever it runs: it needs no host names.
        var certificate = authority.Issue(new NodeIdentity(NodeRole.Enrolment, "certs"), [], OwnLifetime);
        var tls = NodeCredentials.ServerWithoutClientCertificates(certificate);
        server._server = await GrpcServer.StartAsync(services, new GrpcServerOptions
        {
            Listen = [listen],
            Tls = () => tls,
            Calls = new ServerCallOptions { MaxReceiveMessageBytes = EnrolmentMethods.MaxMessageBytes },
            StreamWindowBytes = 1 << 17,
            ConnectionWindowBytes = 1 << 17,
            MaxStreamsPerConnection = 4,
            MaxConnections = 64,
        }, cancel);
        return server;
    }

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private Task<GetAuthorityResponse> GetAuthorityAsync(GetAuthorityRequest request, ServerCallContext context) =>
        Task.FromResult(new GetAuthorityResponse { Certificate = ByteString.CopyFrom(_authority.Certificate.RawDataMemory.Span) });

    private Task<EnrolResponse> EnrolAsync(EnrolRequest request, ServerCallContext context)
    {
        // The request is read before the token is used up: a mistake in it costs nobody the token.
        var key = KeyOf(request.SigningRequest.Span);
        if (_tokens.Take(request.TokenId.Span, request.TokenSecret.Span) is not { } grant)
        {
            _note($"{context.Peer} came with a token that is not good");
            throw new RpcException(GrpcStatusCode.Unauthenticated, "the token is not good: used, expired, or never given out");
        }
        var hosts = grant.Hosts.Count > 0 ? grant.Hosts : AddressOf(context.Peer);
        using var certificate = _authority.Sign(key, grant.Identity, hosts, TimeSpan.FromDays(grant.CertificateDays));
        _note($"{grant.Identity} has joined from {context.Peer} with a certificate for {string.Join(", ", hosts)}, good until {certificate.NotAfter:yyyy-MM-dd}");
        var response = new EnrolResponse { Certificate = ByteString.CopyFrom(certificate.RawDataMemory.Span), Revoked = _authority.Revoked.ToString() };
        response.Authorities.AddRange(_authority.Trusted.Select(trusted => ByteString.CopyFrom(trusted.RawDataMemory.Span)));
        return Task.FromResult(response);
    }

    /// <summary>The key of a request that was signed with it.</summary>
    private static PublicKey KeyOf(ReadOnlySpan<byte> signingRequest) =>
        TryReadKey(signingRequest, out var key) ? key : throw new RpcException(GrpcStatusCode.InvalidArgument, "the signing request is no PKCS#10 with an ECDSA P-256 key, signed by it");

    internal static bool TryReadKey(ReadOnlySpan<byte> signingRequest, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PublicKey? key)
    {
        key = null;
        try
        {
            var request = CertificateRequest.LoadSigningRequest(signingRequest, HashAlgorithmName.SHA256, out var read);
            using var point = request.PublicKey.GetECDsaPublicKey();
            if (point is not null && read == signingRequest.Length && point.ExportParameters(false).Curve.Oid.Value == P256)
                key = request.PublicKey;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or NotSupportedException)
        {
            // Whatever is wrong in a request of a stranger, it is his.
        }
        return key is not null;
    }

    /// <summary>The address in <c>ipv4:address:port</c> or <c>ipv6:[address]:port</c>.</summary>
    private static IReadOnlyList<string> AddressOf(string peer) =>
        IPEndPoint.TryParse(peer[(peer.IndexOf(':') + 1)..], out var end) ? [end.Address.ToString()] : [];
}
