using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Requests;

/// <summary>
/// Every request has an id, in <see cref="HttpContext.TraceIdentifier"/> and in the answer's <c>X-Request-Id</c>: the
/// client's own if it sent a sound one, else a new one.
/// </summary>
internal static class RequestIds
{
    public const string Header = "X-Request-Id";

    private const int MaxLength = 128;

    public static void UseRequestIds(this IApplicationBuilder application) => application.Use((context, next) =>
    {
        var given = context.Request.Headers[Header].ToString();
        context.TraceIdentifier = IsSound(given) ? given : $"req_{Guid.NewGuid():N}";
        context.Response.Headers[Header] = context.TraceIdentifier;
        return next(context);
    });

    /// <summary>What can stand in a header, a log line and a file name.</summary>
    private static bool IsSound(string id) => id.Length is > 0 and <= MaxLength && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
