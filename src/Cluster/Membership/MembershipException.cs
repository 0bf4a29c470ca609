namespace Grok1Cluster.Cluster.Membership;

/// <summary>The cluster's state could not be changed; the message says why and what to do.</summary>
public class MembershipException(string message, Exception? inner = null) : Exception(message, inner);
