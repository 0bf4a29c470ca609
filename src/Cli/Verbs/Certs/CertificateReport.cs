using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cli.Verbs.Certs;

/// <summary>A certificate as <c>certs</c> shows it.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="Role">worker, coordinator, operator, or ca.</param>
/// <param name="Id">Of a CA its name.</param>
/// <param name="Hosts">Where its holder is.</param>
/// <param name="NotBefore">Good from.</param>
/// <param name="NotAfter">Good until.</param>
/// <param name="Fingerprint">SHA-256 of the certificate, hexadecimal.</param>
/// <param name="Issuer">Name of the CA that signed it.</param>
internal sealed record CertificateReport(
    string Path, string Role, string Id, IReadOnlyList<string> Hosts, DateTimeOffset NotBefore, DateTimeOffset NotAfter, string Fingerprint, string Issuer)
{
    private const string Common = "CN=";

    public static CertificateReport Of(string path, X509Certificate2 certificate)
    {
        var names = CertificateNames.Of(certificate);
        return new CertificateReport(
            path, names.Identity is { } identity ? NodeIdentity.NameOf(identity.Role) : "ca", names.Identity?.Id ?? Name(certificate.Subject), names.Hosts,
            new DateTimeOffset(certificate.NotBefore).ToUniversalTime(), new DateTimeOffset(certificate.NotAfter).ToUniversalTime(),
            certificate.GetCertHashString(System.Security.Cryptography.HashAlgorithmName.SHA256).ToLowerInvariant(), Name(certificate.Issuer));
    }

    /// <summary>One line for people.</summary>
    public override string ToString() =>
        $"{Path}: {Role} {Id}{(Hosts.Count > 0 ? $" at {string.Join(", ", Hosts)}" : "")}, good until {NotAfter:yyyy-MM-dd}, SHA-256 {Fingerprint[..16]}{(Role == "ca" ? "" : $", signed by {Issuer}")}";

    private static string Name(string distinguished) => distinguished.StartsWith(Common, StringComparison.Ordinal) ? distinguished[Common.Length..] : distinguished;
}
