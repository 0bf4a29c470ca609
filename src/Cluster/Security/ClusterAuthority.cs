using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// The cluster's own CA, a directory: <c>ca.pem</c> (certificate and key), <c>bundle.pem</c> (every CA that is trusted now), during
/// a change of the CA <c>next.pem</c>, and where nodes were revoked <c>revoked.txt</c>. It belongs on one machine that needs not be part of the cluster.
/// </summary>
public sealed class ClusterAuthority
{
    private const string CurrentName = "ca.pem";
    private const string NextName = "next.pem";
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(3650);

    private readonly string _directory;
    private readonly TimeProvider _time;

    private ClusterAuthority(string directory, TimeProvider time)
    {
        (_directory, _time) = (directory, time);
        Certificate = PemFiles.ReadKeyPair(Current);
    }

    /// <summary>The CA that signs now, with its key.</summary>
    public X509Certificate2 Certificate { get; private set; }

    /// <summary>Every CA that nodes are to trust now.</summary>
    public IReadOnlyList<X509Certificate2> Trusted => [.. PemFiles.ReadBundle(Bundle)];

    /// <summary>Nodes whose certificates nodes are to refuse now.</summary>
    public RevocationList Revoked => RevocationList.Read(_directory);

    /// <summary>The file of <see cref="Revoked"/>.</summary>
    public string RevokedPath => Path.Combine(_directory, RevocationList.FileName);

    private string Current => Path.Combine(_directory, CurrentName);

    private string Next => Path.Combine(_directory, NextName);

    private string Bundle => Path.Combine(_directory, NodeDirectory.BundleName);

    /// <summary>Makes a CA.</summary>
    /// <param name="overwrite">Whether a CA that is there may be replaced; everything that it has signed is then refused.</param>
    /// <exception cref="CredentialsException">There is one and it may not be replaced.</exception>
    public static ClusterAuthority Create(string directory, bool overwrite, TimeProvider time)
    {
        if (!overwrite && File.Exists(Path.Combine(directory, CurrentName)))
            throw new CredentialsException($"{Path.Combine(directory, CurrentName)} is there already; --force replaces the CA, and every certificate that it signed is refused from then on");
        PemFiles.CreateDirectory(directory);
        using var made = CertificateMaker.Authority(time.GetUtcNow(), Lifetime);
        PemFiles.WriteKeyPair(Path.Combine(directory, CurrentName), made, overwrite);
        PemFiles.WriteBundle(Path.Combine(directory, NodeDirectory.BundleName), [made], overwrite: true);
        // A change that was under way was one from the CA that is no more, and what that one signed is refused anyway.
        File.Delete(Path.Combine(directory, NextName));
        File.Delete(Path.Combine(directory, RevocationList.FileName));
        return new ClusterAuthority(directory, time);
    }

    /// <exception cref="CredentialsException">There is no CA.</exception>
    public static ClusterAuthority Open(string directory, TimeProvider time) => new(directory, time);

    /// <summary>A certificate for a key that its owner keeps.</summary>
    /// <exception cref="CredentialsException">The id or a host cannot be in a certificate.</exception>
    public X509Certificate2 Sign(PublicKey key, NodeIdentity identity, IEnumerable<string> hosts, TimeSpan lifetime)
    {
        if (!NodeIdentity.IsId(identity.Id))
            throw new CredentialsException($"'{identity.Id}' cannot be an id: 1 to 64 letters, digits, '.', '_' or '-'");
        return CertificateMaker.Node(Certificate, key, identity, hosts, _time.GetUtcNow(), lifetime);
    }

    /// <summary>A certificate with a new key.</summary>
    /// <inheritdoc cref="Sign" path="/exception"/>
    public X509Certificate2 Issue(NodeIdentity identity, IEnumerable<string> hosts, TimeSpan lifetime)
    {
        using var key = CertificateMaker.NewKey();
        using var signed = Sign(new PublicKey(key), identity, hosts, lifetime);
        return signed.CopyWithPrivateKey(key);
    }

    /// <summary>Puts a node on the list: what was signed for it until now is no longer good.</summary>
    /// <returns>Now, to the second.</returns>
    public DateTimeOffset Revoke(NodeIdentity node)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(_time.GetUtcNow().ToUnixTimeSeconds());
        Revoked.With(node, now).Write(_directory);
        return now;
    }

    /// <summary>First step to another CA: makes it, to be trusted beside this one. Nothing is signed by it yet.</summary>
    /// <exception cref="CredentialsException">A change is under way.</exception>
    public void BeginChange()
    {
        if (File.Exists(Next))
            throw new CredentialsException($"{Next} is there: a change of the CA is under way; go on with --authority switch");
        using var next = CertificateMaker.Authority(_time.GetUtcNow(), Lifetime);
        PemFiles.WriteKeyPair(Next, next, overwrite: false);
        PemFiles.WriteBundle(Bundle, [.. Trusted, next], overwrite: true);
    }

    /// <summary>Second step, when every node has the bundle of both: the new CA signs from now on.</summary>
    /// <exception cref="CredentialsException">No change was begun.</exception>
    public void SwitchToNext()
    {
        if (!File.Exists(Next))
            throw new CredentialsException($"{Next} is not there: begin the change with --authority begin");
        var next = PemFiles.ReadKeyPair(Next);
        if (!Trusted.Any(trusted => trusted.Thumbprint == next.Thumbprint))
            PemFiles.WriteBundle(Bundle, [.. Trusted, next], overwrite: true);
        File.Move(Next, Current, overwrite: true);
        Certificate = next;
    }

    /// <summary>Last step, when every node has a certificate of the new CA: the old one is no longer trusted by who gets the bundle of now.</summary>
    /// <exception cref="CredentialsException">The new CA does not sign yet.</exception>
    public void FinishChange()
    {
        if (File.Exists(Next))
            throw new CredentialsException($"{Next} is there: the new CA does not sign yet; --authority switch comes first");
        PemFiles.WriteBundle(Bundle, [Certificate], overwrite: true);
    }
}
