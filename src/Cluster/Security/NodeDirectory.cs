using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>What <c>--tls</c> names: <c>node.pem</c>, a certificate with its key, and <c>bundle.pem</c>, the CAs that this node trusts,
/// and where there are any <c>revoked.txt</c>, the nodes that it does not (<see cref="RevocationList"/>).</summary>
public static class NodeDirectory
{
    public const string KeyPairName = "node.pem";
    public const string BundleName = "bundle.pem";

    /// <summary>Writes all files.</summary>
    /// <param name="directory">Made where it is not there.</param>
    /// <param name="certificate">With its key.</param>
    /// <param name="authorities">The CAs.</param>
    /// <param name="revoked">The nodes that are not trusted.</param>
    /// <param name="overwrite">Whether a node's files that are there may be replaced.</param>
    /// <exception cref="CredentialsException">They are there and may not, or cannot be written.</exception>
    public static void Write(string directory, X509Certificate2 certificate, IEnumerable<X509Certificate2> authorities, RevocationList revoked, bool overwrite)
    {
        CheckFree(directory, overwrite);
        PemFiles.CreateDirectory(directory);
        // The CAs first: a process that sees the new certificate needs whatever stands behind it.
        WriteTrust(directory, authorities, revoked);
        PemFiles.WriteKeyPair(Path.Combine(directory, KeyPairName), certificate, overwrite);
    }

    /// <summary>Writes whom the node trusts, and leaves its certificate as it is.</summary>
    /// <inheritdoc cref="Write" path="/param"/>
    public static void WriteTrust(string directory, IEnumerable<X509Certificate2> authorities, RevocationList revoked)
    {
        revoked.Write(directory);
        PemFiles.WriteBundle(Path.Combine(directory, BundleName), authorities, overwrite: true);
    }

    /// <exception cref="CredentialsException">There is a node's certificate already, and it may not be replaced.</exception>
    public static void CheckFree(string directory, bool overwrite)
    {
        foreach (var name in (string[])[KeyPairName, BundleName])
            if (!overwrite && File.Exists(Path.Combine(directory, name)))
                throw new CredentialsException($"{Path.Combine(directory, name)} is there already; --force replaces it");
    }
}
