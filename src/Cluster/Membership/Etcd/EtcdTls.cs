using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Cluster.Security;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>
/// Whom a connection to etcd trusts and what it shows. Files are read for every connection: exchanged ones are used from then on, and ones
/// that cannot be read leave what was there in use. Thread-safe.
/// </summary>
public sealed class EtcdTls
{
    private readonly Func<Loaded> _load;
    private readonly Action<string> _note;
    private volatile Loaded _loaded;

    private EtcdTls(Func<Loaded> load, Action<string> note) => (_load, _note, _loaded) = (load, note, load());

    /// <summary>Why the certificate of the etcd that was last connected to is not trusted; null if it is.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Whether a certificate is shown.</summary>
    public bool ShowsCertificate => _loaded.Own is not null;

    /// <summary>What the system trusts, and nothing to show.</summary>
    public static EtcdTls OfSystem() => new(static () => new Loaded(null, null), static _ => { });

    /// <summary>Files in PEM.</summary>
    /// <param name="authorities">CAs that are trusted; null: those of the system.</param>
    /// <param name="certificate">The certificate to show, with those between it and its CA; null: none.</param>
    /// <param name="key">Its key, not encrypted.</param>
    /// <param name="note">Told of files that were exchanged and cannot be used.</param>
    /// <exception cref="CredentialsException">The files cannot be used.</exception>
    public static EtcdTls OfFiles(string? authorities, string? certificate, string? key, Action<string> note) => new(() => new Loaded(
        authorities is null ? null : PemFiles.ReadBundle(authorities),
        certificate is null ? null : PemFiles.ReadKeyPair(certificate, key!)), note);

    /// <summary>The rules of a new connection.</summary>
    internal SslClientAuthenticationOptions ForConnection()
    {
        try
        {
            _loaded = _load();
        }
        catch (CredentialsException e)
        {
            _note($"the certificates for etcd cannot be used, those read before stay in use: {e.Message}");
        }
        Refusal = null;
        var (trusted, own) = _loaded;
        return new SslClientAuthenticationOptions
        {
            CertificateChainPolicy = trusted is null ? null : PeerCheck.Policy(trusted),
            ClientCertificateContext = own,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => (Refusal = Judge(certificate, chain, errors)) is null,
        };
    }

    private string? Judge(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) => errors switch
    {
        SslPolicyErrors.None => null,
        _ when errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors) => $"etcd's certificate is not good here: {PeerCheck.Describe(chain)} (--etcd-ca)",
        _ when errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch) =>
            $"etcd's certificate is for the hosts {string.Join(", ", CertificateNames.Of((X509Certificate2)certificate!).Hosts)}, not for this address; call it by one of them in --etcd",
        _ => "etcd shows no certificate",
    };

    private sealed record Loaded(X509Certificate2Collection? Trusted, SslStreamCertificateContext? Own);
}
