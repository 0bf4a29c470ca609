using System.Text.RegularExpressions;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>Where etcd is, and how patient to be with it.</summary>
public sealed partial record EtcdOptions
{
    /// <summary>Addresses of etcd's members; any one of them will do. <c>https://host:port</c> asks for TLS.</summary>
    public required IReadOnlyList<string> Endpoints { get; init; }

    /// <summary>Clusters of different names know nothing of each other. See <see cref="IsName"/>.</summary>
    public string Cluster { get; init; } = "default";

    /// <summary>How long a process that says nothing is still taken for living; whole seconds, and etcd has a least of its own.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long one call to one endpoint may take.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a start waits for etcd; infinite: until it is there.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long after etcd was away a member without a key is kept. Leases end while etcd is away; whoever lives comes again.
    /// </summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a change waits for coordinators that live to follow a plan: their calls by the one before have ended or failed by then.</summary>
    public TimeSpan AcknowledgementTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Whom to trust and what to show where an endpoint asks for TLS.</summary>
    public EtcdTls Tls { get; init; } = EtcdTls.OfSystem();

    /// <summary>Who to be where etcd asks for users; null: nobody.</summary>
    public EtcdUser? User { get; init; }

    /// <summary>How long somebody else's key is waited for before an id counts as taken: whoever died a moment ago is gone by then.</summary>
    internal TimeSpan RefusalTime => Lease + CallTimeout;

    /// <summary>How long a start may take in all.</summary>
    internal TimeSpan StartLimit => StartTimeout == Timeout.InfiniteTimeSpan ? StartTimeout : StartTimeout + RefusalTime;

    /// <summary>Whether an endpoint asks for TLS.</summary>
    public static bool IsSecure(string endpoint) => endpoint.StartsWith("https://", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether a text may be the name of a cluster or the id of a member: it becomes a part of a key.</summary>
    public static bool IsName(string text) => NamePattern().IsMatch(text);

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\z")]
    private static partial Regex NamePattern();
}
