using Google.Protobuf;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>The keys of one cluster, all below <c>/grok1/CLUSTER/</c>.</summary>
internal sealed class EtcdKeys(string cluster)
{
    private const int LongestShown = 300;

    public string Prefix { get; } = $"/grok1/{cluster}/";

    public string Workers => Prefix + "workers/";

    public string Coordinators => Prefix + "coordinators/";

    public string Plan => Prefix + "plan";

    public string Lock => Prefix + "lock";

    public string Worker(string id) => Workers + id;

    public string Coordinator(string id) => Coordinators + id;

    /// <summary>The first key after all that begin with a prefix of ASCII.</summary>
    public static ByteString EndOf(string prefix) => ByteString.CopyFromUtf8(prefix[..^1] + (char)(prefix[^1] + 1));

    /// <summary>What somebody wrote into etcd, for a line on a terminal.</summary>
    public static string Printable(string text) =>
        string.Concat(text.Take(LongestShown).Select(c => c is >= ' ' and <= '~' ? c : '?'));
}
