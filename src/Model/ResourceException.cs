namespace Grok1Cluster.Model;

/// <summary>
/// Memory or disk does not suffice. The message says the bytes needed and available; the command line ends with exit code 4.
/// </summary>
public sealed class ResourceException(string message) : Exception(message);
