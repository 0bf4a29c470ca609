using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Membership;

/// <summary>The plan that a cluster agreed on.</summary>
/// <param name="Revision">Of the store that keeps it: changes with every write, and guards the next one.</param>
public sealed record PlanRecord(Plan Plan, long Revision);
