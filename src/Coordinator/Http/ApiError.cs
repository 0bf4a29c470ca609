using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http;

/// <summary>A request that cannot be served, as its client is told.</summary>
/// <param name="message">What, which, and what to do.</param>
/// <param name="param">The field at fault, or null.</param>
internal sealed class ApiException(string message, string? param) : Exception(message)
{
    public string? Param { get; } = param;
}

/// <summary>OpenAI's error body: <c>{"error":{message,type,param,code}}</c>.</summary>
internal static class ApiError
{
    public static Task WriteAsync(HttpContext context, int status, string message, string? param, string code)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(Body(message, status < 500 ? "invalid_request_error" : "server_error", param, code), ApiJson.Options, context.RequestAborted);
    }

    public static object Body(string message, string type, string? param, string code) =>
        new ErrorBody(new ErrorDetail(message, type, param, code));

    private sealed record ErrorBody(ErrorDetail Error);

    private sealed record ErrorDetail(string Message, string Type, string? Param, string Code);
}
