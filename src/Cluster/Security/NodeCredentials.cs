using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// The certificate of this process and the CAs that it trusts, from a directory. The files are looked at for every new connection: one
/// that was exchanged is used from then on, and one that cannot be read leaves what was there in use. Thread-safe.
/// </summary>
public sealed class NodeCredentials
{
    private readonly Lock _gate = new();
    private readonly string _directory;
    private readonly Action<string> _note;
    private Loaded _loaded;
    private FilesStamp _stamp;

    private NodeCredentials(string directory, Action<string> note)
    {
        (_directory, _note) = (directory, note);
        _stamp = Stamp();
        _loaded = Load();
    }

    /// <summary>Where the files are.</summary>
    public string Directory => _directory;

    /// <summary>Who this process is.</summary>
    public NodeIdentity Identity => _loaded.Identity;

    /// <summary>Until when the certificate is good.</summary>
    public DateTimeOffset GoodUntil => new(_loaded.Certificate.NotAfter);

    /// <summary>Reads the files of <see cref="NodeDirectory"/>.</summary>
    /// <param name="directory">Of the node.</param>
    /// <param name="note">Told once for each exchange that failed, and for each that succeeded.</param>
    /// <exception cref="CredentialsException">They are not there, or no credentials of a cluster.</exception>
    public static NodeCredentials Open(string directory, Action<string> note) => new(directory, note);

    /// <summary>Credentials that never change: a certificate with its key, and the CAs that are trusted.</summary>
    internal static SslServerAuthenticationOptions ServerWithoutClientCertificates(X509Certificate2 certificate) => new()
    {
        ServerCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true),
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
    };

    /// <summary>The rules for who connects to this process, those of now: a certificate of the cluster, of any role.</summary>
    public SslServerAuthenticationOptions Server()
    {
        var loaded = Current();
        var check = new PeerCheck(NodeRole.Coordinator | NodeRole.Worker | NodeRole.Operator);
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = loaded.Context,
            ClientCertificateRequired = true,
            CertificateChainPolicy = PeerCheck.Policy(loaded.Authorities),
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) => check.Accept(certificate, chain, errors, loaded.Revoked),
            EnabledSslProtocols = SslProtocols.Tls13,
            // A resumed session would skip the look at the certificate, and with it its end and a change of the CA.
            AllowTlsResume = false,
        };
    }

    /// <summary>The rules for connecting to others, those of now.</summary>
    /// <param name="check">What the peer must be.</param>
    public SslClientAuthenticationOptions Client(PeerCheck check)
    {
        var loaded = Current();
        return Client(loaded.Authorities, loaded.Revoked, check, loaded.Context);
    }

    /// <param name="authorities">The CAs to trust.</param>
    /// <param name="revoked">The nodes that are refused all the same.</param>
    /// <param name="check">What the peer must be.</param>
    /// <param name="own">What to show; null: nothing.</param>
    internal static SslClientAuthenticationOptions Client(X509Certificate2Collection authorities, RevocationList revoked, PeerCheck check, SslStreamCertificateContext? own) => new()
    {
        ClientCertificateContext = own,
        CertificateChainPolicy = PeerCheck.Policy(authorities),
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) => check.Accept(certificate, chain, errors, revoked),
        EnabledSslProtocols = SslProtocols.Tls13,
        AllowTlsResume = false,
    };

    private Loaded Current()
    {
        lock (_gate)
        {
            var stamp = Stamp();
            if (stamp == _stamp)
                return _loaded;
            _stamp = stamp;
            try
            {
                _loaded = Load();
                _note($"new certificate of {_loaded.Identity}, good until {GoodUntil:yyyy-MM-dd}, for new connections; {_loaded.Revoked.Before.Count} nodes revoked");
            }
            catch (CredentialsException e)
            {
                _note($"the certificates were exchanged and cannot be used, the old ones stay in use: {e.Message}");
            }
            return _loaded;
        }
    }

    private FilesStamp Stamp() => new(FileStamp.Of(PairPath), FileStamp.Of(BundlePath), FileStamp.Of(Path.Combine(_directory, RevocationList.FileName)));

    private Loaded Load()
    {
        var certificate = PemFiles.ReadKeyPair(PairPath);
        return new Loaded(
            certificate,
            CertificateNames.Of(certificate).Identity ?? throw new CredentialsException($"{PairPath} is no certificate of a cluster's node: it names no role and id (grok1 certs issue)"),
            PemFiles.ReadBundle(BundlePath),
            RevocationList.Read(_directory),
            SslStreamCertificateContext.Create(certificate, null, offline: true));
    }

    private string PairPath => Path.Combine(_directory, NodeDirectory.KeyPairName);

    private string BundlePath => Path.Combine(_directory, NodeDirectory.BundleName);

    private sealed record Loaded(X509Certificate2 Certificate, NodeIdentity Identity, X509Certificate2Collection Authorities, RevocationList Revoked, SslStreamCertificateContext Context);

    private readonly record struct FilesStamp(FileStamp Pair, FileStamp Bundle, FileStamp Revoked);

    private readonly record struct FileStamp(DateTime Written, long Length)
    {
        public static FileStamp Of(string path) => new FileInfo(path) is { Exists: true } file ? new FileStamp(file.LastWriteTimeUtc, file.Length) : default;
    }
}
