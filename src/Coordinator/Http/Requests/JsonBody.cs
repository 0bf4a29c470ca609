using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Unicode;
using Grok1Cluster.Coordinator.Http.Errors;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Requests;

/// <summary>Reads a body that must be one JSON object.</summary>
internal static class JsonBody
{
    /// <summary>The body; its length has been bounded by the server, its depth and encoding are checked here.</summary>
    /// <exception cref="ApiException">It is not JSON, or says that it is something else.</exception>
    public static async Task<JsonElement> ReadAsync(HttpContext context, int maxDepth)
    {
        // Also keeps pages of other sites from posting here: without CORS a browser sends only form types and text.
        if (!MediaTypeHeaderValue.TryParse(context.Request.ContentType, out var type) || !string.Equals(type.MediaType, "application/json", StringComparison.OrdinalIgnoreCase))
            throw new ApiException($"Content-Type is {(context.Request.ContentType is { Length: > 0 } given ? $"'{given}'" : "missing")}, it must be application/json", "Content-Type")
            {
                Status = StatusCodes.Status415UnsupportedMediaType, Code = "unsupported_media_type",
            };
        using var buffer = new MemoryStream();
        await context.Request.Body.CopyToAsync(buffer, context.RequestAborted);
        return Parse(buffer.GetBuffer().AsMemory(0, (int)buffer.Length), maxDepth);
    }

    /// <inheritdoc cref="ReadAsync"/>
    public static JsonElement Parse(ReadOnlyMemory<byte> bytes, int maxDepth)
    {
        if (bytes.Length == 0)
            throw Invalid("the body is empty; send a JSON object");
        if (!Utf8.IsValid(bytes.Span))
            throw Invalid("the body is not valid UTF-8");
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = maxDepth, AllowDuplicateProperties = false });
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : throw Invalid("the body must be a JSON object");
        }
        // The parser compares names to find duplicates, and reports one with half a surrogate pair as an invalid operation.
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Invalid($"the body is not valid JSON: {e.Message}");
        }
    }

    private static ApiException Invalid(string message) => new(message, null) { Code = "invalid_json" };
}
