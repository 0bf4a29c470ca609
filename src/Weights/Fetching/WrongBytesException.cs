namespace Grok1Cluster.Weights.Fetching;

/// <summary>A source sent something else than it was asked for; it is not believed any more.</summary>
internal sealed class WrongBytesException(string message) : Exception(message);
