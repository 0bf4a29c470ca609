namespace Grok1Cluster.Grpc;

/// <summary>Where the code goes on that has awaited a message.</summary>
public enum MessageScheduling
{
    /// <summary>On the thread pool. Right for everything that may wait or compute.</summary>
    Pool,

    /// <summary>
    /// On the thread that reads the connection, which saves waking another one. Only for code that neither blocks nor computes
    /// for long: while it runs, nothing else of the connection is read. The stock transport ignores it.
    /// </summary>
    Inline,
}
