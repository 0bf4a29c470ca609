using System.Net.Security;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Copies of TLS options that ask for HTTP/2, so that the application's own stay as they are.</summary>
internal static class TlsOptions
{
    /// <summary>Options of a client that connects to <paramref name="host"/>, unless they name another.</summary>
    public static SslClientAuthenticationOptions ForClient(SslClientAuthenticationOptions from, string host) => new()
    {
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        TargetHost = string.IsNullOrEmpty(from.TargetHost) ? host : from.TargetHost,
        AllowRenegotiation = false,
        AllowTlsResume = from.AllowTlsResume,
        CertificateChainPolicy = from.CertificateChainPolicy,
        CertificateRevocationCheckMode = from.CertificateRevocationCheckMode,
        CipherSuitesPolicy = from.CipherSuitesPolicy,
        ClientCertificateContext = from.ClientCertificateContext,
        ClientCertificates = from.ClientCertificates,
        EnabledSslProtocols = from.EnabledSslProtocols,
        EncryptionPolicy = from.EncryptionPolicy,
        LocalCertificateSelectionCallback = from.LocalCertificateSelectionCallback,
        RemoteCertificateValidationCallback = from.RemoteCertificateValidationCallback,
    };

    /// <summary>Options of a server.</summary>
    public static SslServerAuthenticationOptions ForServer(SslServerAuthenticationOptions from) => new()
    {
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        AllowRenegotiation = false,
        AllowTlsResume = from.AllowTlsResume,
        CertificateChainPolicy = from.CertificateChainPolicy,
        CertificateRevocationCheckMode = from.CertificateRevocationCheckMode,
        CipherSuitesPolicy = from.CipherSuitesPolicy,
        ClientCertificateRequired = from.ClientCertificateRequired,
        EnabledSslProtocols = from.EnabledSslProtocols,
        EncryptionPolicy = from.EncryptionPolicy,
        RemoteCertificateValidationCallback = from.RemoteCertificateValidationCallback,
        ServerCertificate = from.ServerCertificate,
        ServerCertificateContext = from.ServerCertificateContext,
        ServerCertificateSelectionCallback = from.ServerCertificateSelectionCallback,
    };
}
