namespace Grok1Cluster.Cluster.Plans;

/// <summary>Ids of workers that nobody named.</summary>
public static class WorkerIds
{
    /// <summary><c>worker-0</c> to <c>worker-(count - 1)</c>: what a cluster on one machine, and a plan made ahead of its cluster, call their workers.</summary>
    public static IReadOnlyList<string> Numbered(int count) => [.. Enumerable.Range(0, count).Select(number => $"worker-{number}")];
}
