namespace Grok1Cluster.Model;

/// <summary>
/// The machine has too little of something: memory under the limit, disk, file handles. The message says what is
/// needed and what there is; the command line ends with exit code 4.
/// </summary>
public sealed class ResourceException : Exception
{
    public ResourceException(string message) : base(message) { }

    public ResourceException(string message, Exception inner) : base(message, inner) { }
}
