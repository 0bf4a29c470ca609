namespace Grok1Cluster.Cluster.Plans;

/// <summary>A worker as the planner sees it.</summary>
/// <param name="Speed">In any unit that is the same for all workers; positive.</param>
/// <param name="MemoryBytes">Most bytes of experts that it may hold; null when there is no limit to respect.</param>
public readonly record struct WorkerCapacity(string Id, double Speed, long? MemoryBytes);
