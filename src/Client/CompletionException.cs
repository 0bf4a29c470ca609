using System.Net;

namespace Grok1Cluster.Client;

/// <summary>The server refused a request, or failed while it answered.</summary>
public sealed class CompletionException : Exception
{
    /// <param name="message">What the server said.</param>
    /// <param name="inner">Why its answer could not be read, if it could not.</param>
    public CompletionException(string message, Exception? inner = null) : base(message, inner)
    {
    }

    /// <summary>Null when it failed in mid-stream, after the status was sent.</summary>
    public HttpStatusCode? Status { get; init; }

    /// <summary>What programs look at, such as <c>context_length_exceeded</c>.</summary>
    public string? Code { get; init; }

    /// <summary>The field at fault.</summary>
    public string? Param { get; init; }

    /// <summary>When to try again, with 429 and 503.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The id under which the server knows the request.</summary>
    public string? RequestId { get; init; }
}
