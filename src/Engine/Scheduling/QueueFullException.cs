namespace Grok1Cluster.Engine.Scheduling;

/// <summary>Too many sequences wait; try again later.</summary>
public sealed class QueueFullException(int waiting) : Exception($"{waiting} sequences wait already; try again later");
