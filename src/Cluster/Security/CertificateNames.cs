using System.Formats.Asn1;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>The alternative names of a certificate (RFC 5280, section 4.2.1.6): who it is for, and at which hosts.</summary>
/// <param name="Identity">Null if there is none, or more than one.</param>
/// <param name="Hosts">DNS names and IP addresses.</param>
public sealed record CertificateNames(NodeIdentity? Identity, IReadOnlyList<string> Hosts)
{
    private const string Oid = "2.5.29.17";

    private static readonly Asn1Tag Dns = new(TagClass.ContextSpecific, 2);
    private static readonly Asn1Tag UriTag = new(TagClass.ContextSpecific, 6);
    private static readonly Asn1Tag Ip = new(TagClass.ContextSpecific, 7);

    /// <summary>The names of a certificate, which may come from anybody: what cannot be read is no name.</summary>
    public static CertificateNames Of(X509Certificate2 certificate)
    {
        var extensions = certificate.Extensions.Where(extension => extension.Oid?.Value == Oid).ToList();
        if (extensions is not [var only])
            return new CertificateNames(null, []);
        try
        {
            return Read(only.RawData);
        }
        catch (Exception e) when (e is AsnContentException or ArgumentException or CryptographicException)
        {
            return new CertificateNames(null, []);
        }
    }

    /// <summary>The extension that carries these names.</summary>
    /// <param name="identity">Who.</param>
    /// <param name="hosts">DNS names and IP addresses.</param>
    /// <exception cref="CredentialsException">A host is neither.</exception>
    public static X509Extension Extension(NodeIdentity identity, IEnumerable<string> hosts)
    {
        var builder = new SubjectAlternativeNameBuilder();
        builder.AddUri(new Uri(identity.Uri));
        foreach (var host in hosts)
            if (IPAddress.TryParse(host, out var address))
                builder.AddIpAddress(address);
            else if (IsDnsName(host))
                builder.AddDnsName(host);
            else
                throw new CredentialsException($"'{host}' is neither a host name nor an IP address");
        return builder.Build();
    }

    /// <summary>Whether a text can be the DNS name of a machine.</summary>
    public static bool IsDnsName(string host) =>
        host.Length is > 0 and < 254 && host.Split('.').All(label => label.Length is > 0 and < 64 && label[0] != '-' && label[^1] != '-' && label.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'));

    private static CertificateNames Read(ReadOnlyMemory<byte> extension)
    {
        var identities = new List<NodeIdentity?>();
        var hosts = new List<string>();
        var names = new AsnReader(extension, AsnEncodingRules.DER).ReadSequence();
        while (names.HasData)
        {
            var tag = names.PeekTag();
            if (tag.HasSameClassAndValue(Dns))
                hosts.Add(names.ReadCharacterString(UniversalTagNumber.IA5String, tag));
            else if (tag.HasSameClassAndValue(Ip))
                hosts.Add(new IPAddress(names.ReadOctetString(tag)).ToString());
            else if (tag.HasSameClassAndValue(UriTag))
                identities.Add(NodeIdentity.TryParse(names.ReadCharacterString(UniversalTagNumber.IA5String, tag), out var identity) ? identity : null);
            else
                names.ReadEncodedValue();
        }
        return new CertificateNames(identities is [{ } only] ? only : null, hosts);
    }
}
