using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>Makes certificates: ECDSA P-256, signed with SHA-256.</summary>
internal static class CertificateMaker
{
    private const int SerialBytes = 16;
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Clocks of a rack differ: a certificate is good at once everywhere.</summary>
    private static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(10);

    /// <summary>When a node's certificate was made, to the second.</summary>
    public static DateTimeOffset MadeAt(X509Certificate2 certificate) => new DateTimeOffset(certificate.NotBefore) + ClockSkew;

    /// <summary>A new key.</summary>
    public static ECDsa NewKey() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    /// <summary>A CA that signs itself and nothing but the certificates of nodes.</summary>
    public static X509Certificate2 Authority(DateTimeOffset now, TimeSpan lifetime)
    {
        using var key = NewKey();
        // Each CA has a name of its own, so that two of them in one bundle are told apart.
        var request = new CertificateRequest($"CN=grok1 cluster CA {Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4))}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        return request.CreateSelfSigned(now - ClockSkew, now + lifetime);
    }

    /// <summary>A node's certificate, without its key. Never good for longer than its CA.</summary>
    /// <exception cref="CredentialsException">A host is neither a name nor an address.</exception>
    public static X509Certificate2 Node(X509Certificate2 authority, PublicKey key, NodeIdentity identity, IEnumerable<string> hosts, DateTimeOffset now, TimeSpan lifetime)
    {
        var request = new CertificateRequest(new X500DistinguishedName($"CN={identity.Id}, OU={NodeIdentity.NameOf(identity.Role)}"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(ServerAuthentication), new Oid(ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(key, critical: false));
        request.CertificateExtensions.Add(CertificateNames.Extension(identity, hosts));
        var (from, to) = (now - ClockSkew, now + lifetime);
        var (earliest, latest) = (new DateTimeOffset(authority.NotBefore), new DateTimeOffset(authority.NotAfter));
        var serial = RandomNumberGenerator.GetBytes(SerialBytes);
        serial[0] = (byte)(serial[0] & 0x7f | 1);
        return request.Create(authority, from < earliest ? earliest : from, to > latest ? latest : to, serial);
    }
}
