namespace Grok1Cluster.Coordinator.Operations;

/// <summary>A change of the cluster was not made, or not to its end; the message says what, why and what to do.</summary>
public sealed class OperationException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Which of what was asked names nothing that there is, such as <c>worker</c>; null: it was well asked, and cannot be done.</summary>
    public string? Argument { get; init; }
}
