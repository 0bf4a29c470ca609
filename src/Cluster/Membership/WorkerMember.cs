namespace Grok1Cluster.Cluster.Membership;

/// <summary>A worker that is part of the cluster, as it registered itself or as an operator named it.</summary>
/// <param name="Id">Its id in plans; null where only the worker itself can say it.</param>
/// <param name="Address">Its gRPC address.</param>
/// <param name="Leaving">It was told to end: it is to be used no more.</param>
public sealed record WorkerMember(string? Id, string Address, bool Leaving = false);
