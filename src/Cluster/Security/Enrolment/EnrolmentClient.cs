using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Grok1Cluster.Grpc;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Protos.Security.V1;

namespace Grok1Cluster.Cluster.Security.Enrolment;

/// <summary>Gets a certificate for a join token. The key is made here and never leaves this machine.</summary>
public static class EnrolmentClient
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Joins, and writes the files of a node.</summary>
    /// <param name="address">Of <c>certs serve</c>.</param>
    /// <param name="token">Used up by this.</param>
    /// <param name="directory">Where the files go.</param>
    /// <param name="overwrite">Whether a node's files that are there may be replaced.</param>
    /// <param name="cancel">Gives up.</param>
    /// <returns>The certificate.</returns>
    /// <exception cref="AuthenticationException">At the address is another CA than that of the token, or no enrolment service of it.</exception>
    /// <exception cref="RpcException">It cannot be reached, or refuses the token.</exception>
    /// <exception cref="CredentialsException">The files cannot be written; found out before the token is used, as far as that can be.</exception>
    public static async Task<X509Certificate2> JoinAsync(string address, JoinToken token, string directory, bool overwrite, CancellationToken cancel)
    {
        NodeDirectory.CheckFree(directory, overwrite);
        PemFiles.CreateDirectory(directory);
        using var authority = await AskForAuthorityAsync(address, token, cancel);
        using var key = CertificateMaker.NewKey();
        var response = await EnrolAsync(address, token, authority, key, cancel);
        try
        {
            using var signed = X509CertificateLoader.LoadCertificate(response.Certificate.Span);
            var certificate = signed.CopyWithPrivateKey(key);
            NodeDirectory.Write(
                directory, certificate, response.Authorities.Select(der => X509CertificateLoader.LoadCertificate(der.Span)), RevocationList.Parse(response.Revoked, address), overwrite);
            return certificate;
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new AuthenticationException($"{address} answered with no certificate for this key: {e.Message}", e);
        }
    }

    /// <summary>What the CA is, from whoever is at the address; it is believed because its hash is in the token.</summary>
    private static async Task<X509Certificate2> AskForAuthorityAsync(string address, JoinToken token, CancellationToken cancel)
    {
        using var channel = Channel(address, () => new System.Net.Security.SslClientAuthenticationOptions
        {
            RemoteCertificateValidationCallback = static (_, _, _, _) => true,
            EnabledSslProtocols = SslProtocols.Tls13,
            AllowTlsResume = false,
        });
        GetAuthorityResponse response;
        try
        {
            response = await channel.UnaryAsync(EnrolmentMethods.GetAuthority, new GetAuthorityRequest(), GrpcCallOptions.After(Patience), cancel);
        }
        catch (RpcException e) when (e.Code is GrpcStatusCode.Unavailable or GrpcStatusCode.DeadlineExceeded)
        {
            throw new RpcException(e.Code, $"nobody gives certificates at {address} ({e.Status.Message}); start grok1 certs serve there, or correct the address");
        }
        if (!token.IsFor(response.Certificate.Span))
            throw new AuthenticationException($"{address} has another CA than the token was made with: either the token is of another cluster, or somebody stands in between");
        return X509CertificateLoader.LoadCertificate(response.Certificate.Span);
    }

    /// <summary>The token is said only to a service that this CA has made its enrolment service: no other node's certificate will do.</summary>
    private static async Task<EnrolResponse> EnrolAsync(string address, JoinToken token, X509Certificate2 authority, ECDsa key, CancellationToken cancel)
    {
        var check = new PeerCheck(NodeRole.Enrolment) { AnyHost = true };
        using var channel = Channel(address, () => NodeCredentials.Client([authority], RevocationList.Empty, check, own: null));
        var request = new EnrolRequest
        {
            TokenId = ByteString.CopyFrom(token.Id.Span),
            TokenSecret = ByteString.CopyFrom(token.Secret.Span),
            SigningRequest = ByteString.CopyFrom(new CertificateRequest("CN=join", key, HashAlgorithmName.SHA256).CreateSigningRequest()),
        };
        try
        {
            return await channel.UnaryAsync(EnrolmentMethods.Enrol, request, GrpcCallOptions.After(Patience), cancel);
        }
        catch (RpcException e) when (check.Refusal is { } refusal)
        {
            throw new AuthenticationException($"{address} is refused: {refusal}", e);
        }
    }

    private static GrpcChannel Channel(string address, Func<System.Net.Security.SslClientAuthenticationOptions> tls) =>
        new(address, new GrpcChannelOptions { Tls = tls, ConnectTimeout = Patience, MaxReceiveMessageBytes = EnrolmentMethods.MaxMessageBytes });
}
