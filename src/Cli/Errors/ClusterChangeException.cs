namespace Grok1Cluster.Cli.Errors;

/// <summary>A coordinator did not do what it was asked; its own words.</summary>
internal sealed class ClusterChangeException(string message) : Exception(message);
