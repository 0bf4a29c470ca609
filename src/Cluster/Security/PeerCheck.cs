using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Cluster.Security;

/// <summary>
/// What one side of a connection demands of the other: a certificate of the cluster's CA, with an identity of the cluster. Remembers who
/// the peer was, or why it was refused, for messages.
/// </summary>
/// <param name="roles">The roles that the peer may have.</param>
/// <param name="id">The id that it must have; null: any.</param>
public sealed class PeerCheck(NodeRole roles, string? id = null)
{
    /// <summary>Whether the peer may be at any address.</summary>
    internal bool AnyHost { get; init; }

    /// <summary>Who the peer of the last connection is; null before, and where it was refused.</summary>
    public NodeIdentity? Peer { get; private set; }

    /// <summary>Why the peer of the last connection was refused; null if it was not.</summary>
    public string? Refusal { get; private set; }

    /// <summary>The rules of the chain, for options of TLS: the given CAs and no others; nothing is fetched from elsewhere.</summary>
    internal static X509ChainPolicy Policy(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    /// <summary>The callback of TLS, and the nodes that are not trusted.</summary>
    internal bool Accept(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, RevocationList revoked)
    {
        (Peer, Refusal) = Judge(certificate as X509Certificate2, chain, errors, revoked);
        return Refusal is null;
    }

    private (NodeIdentity? Peer, string? Refusal) Judge(X509Certificate2? certificate, X509Chain? chain, SslPolicyErrors errors, RevocationList revoked)
    {
        if (certificate is null)
            return (null, "it shows no certificate");
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors))
            return (null, $"its certificate is not good here: {Describe(chain)}");
        var names = CertificateNames.Of(certificate);
        if (names.Identity is not { } identity)
            return (null, "its certificate names no member of a cluster");
        if (revoked.Has(identity, certificate))
            return (null, $"its certificate is that of {identity}, and was revoked; a new one is good (certs rotate)");
        if ((roles & identity.Role) == 0)
            return (null, $"its certificate is that of {identity}, not of a {string.Join(" or ", RoleNames())}");
        if (id is not null && id != identity.Id)
            return (null, $"its certificate is that of {identity}, not of {id}");
        if (!AnyHost && errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            return (null, $"its certificate is for the hosts {(names.Hosts.Count == 0 ? "(none)" : string.Join(", ", names.Hosts))}, not for this address (certs issue --host)");
        return (identity, null);
    }

    private IEnumerable<string> RoleNames() => Enum.GetValues<NodeRole>().Where(role => role != NodeRole.None && roles.HasFlag(role)).Select(NodeIdentity.NameOf);

    /// <summary>What is wrong with a certificate.</summary>
    internal static string Describe(X509Chain? chain) => string.Join(", ", chain?.ChainStatus.Select(Describe).Distinct() ?? []);

    private static string Describe(X509ChainStatus status) => status.Status switch
    {
        X509ChainStatusFlags.NotTimeValid => "it has expired, or is not valid yet",
        X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.PartialChain => "it is of another CA",
        var other => other.ToString(),
    };
}
