using Grok1Cluster.Cluster.Membership.Etcd;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>What workers may be called, and what those are called that nobody named.</summary>
public static class WorkerIds
{
    /// <summary>What <see cref="IsId"/> takes, for messages.</summary>
    public const string Allowed = "up to 128 letters, digits and . _ : -, beginning with a letter or digit";

    /// <summary>Whether a text may be a worker's id, which stands in plans, keys of etcd, labels of metrics and lines of logs.</summary>
    public static bool IsId(string text) => EtcdOptions.IsName(text);

    /// <summary><c>worker-0</c> to <c>worker-(count - 1)</c>: what a cluster on one machine, and a plan made ahead of its cluster, call their workers.</summary>
    public static IReadOnlyList<string> Numbered(int count) => [.. Enumerable.Range(0, count).Select(number => $"worker-{number}")];
}
