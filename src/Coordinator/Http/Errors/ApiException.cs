using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Errors;

/// <summary>A request that is not served, as its client is told.</summary>
/// <param name="message">What, which, and what to do.</param>
/// <param name="param">The field at fault, or null.</param>
internal sealed class ApiException(string message, string? param) : Exception(message)
{
    public string? Param { get; } = param;

    public int Status { get; init; } = StatusCodes.Status400BadRequest;

    /// <summary>What programs look at.</summary>
    public string Code { get; init; } = "invalid_value";

    /// <summary>When to try again; null where that would not help.</summary>
    public TimeSpan? RetryAfter { get; init; }
}
