namespace Grok1Cluster.Cluster.Membership;

/// <summary>Whoever keeps the cluster's state does not take this process for somebody who may see or change it.</summary>
public sealed class MembershipDeniedException(string message, Exception? inner = null) : MembershipException(message, inner);
