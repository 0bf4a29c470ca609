using Google.Protobuf;

namespace Grok1Cluster.Cluster.Membership.Etcd;

/// <summary>The keys of one cluster, all below <c>/grok1/CLUSTER/</c>.</summary>
internal sealed class EtcdKeys(string cluster)
{
    private const int LongestShown = 200;

    public string Prefix { get; } = $"/grok1/{cluster}/";

    public string Workers => Prefix + "workers/";

    public string Coordinators => Prefix + "coordinators/";

    public string Plan => Prefix + "plan";

    public string Lock => Prefix + "lock";

    public string Worker(string id) => Workers + id;

    public string Coordinator(string id) => Coordinators + id;

    /// <summary>The first key after all that begin with a prefix of ASCII.</summary>
    public static ByteString EndOf(string prefix) => ByteString.CopyFromUtf8(prefix[..^1] + (char)(prefix[^1] + 1));

    /// <summary>A key for a line on a terminal, whoever wrote it.</summary>
    public static string Printable(string key) =>
        string.Concat(key.Take(LongestShown).Select(c => c is >= ' ' and <= '~' ? c : '?'));
}
