using System.Globalization;
using System.Text.Json.Serialization;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Scheduling;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Errors;

/// <summary>OpenAI's error body: <c>{"error":{message,type,param,code}}</c>.</summary>
internal sealed record ApiError([property: JsonPropertyName("error")] ApiErrorDetail Detail)
{
    private static readonly TimeSpan BusyRetry = TimeSpan.FromSeconds(1);

    /// <summary>What a client is told of a failure. The one place where exceptions become statuses.</summary>
    public static ApiException Of(Exception exception) => exception switch
    {
        ApiException api => api,
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } => new ApiException("the body is too large", null) { Status = StatusCodes.Status413PayloadTooLarge, Code = "body_too_large" },
        BadHttpRequestException bad => new ApiException(bad.Message, null) { Status = bad.StatusCode, Code = "invalid_request" },
        PromptException prompt => new ApiException(prompt.Message, "prompt") { Code = "invalid_prompt" },
        QueueFullException full => new ApiException(full.Message, null) { Status = StatusCodes.Status503ServiceUnavailable, Code = "queue_full", RetryAfter = BusyRetry },
        DispatchException lost => new ApiException(lost.Message, null) { Status = StatusCodes.Status503ServiceUnavailable, Code = "worker_unavailable", RetryAfter = BusyRetry },
        OperationCanceledException or ObjectDisposedException => new ApiException("the server is stopping; send the request to another one, or later", null)
        {
            Status = StatusCodes.Status503ServiceUnavailable, Code = "stopping", RetryAfter = BusyRetry,
        },
        _ => new ApiException(exception.Message, null) { Status = StatusCodes.Status500InternalServerError, Code = "generation_failed" },
    };

    public static ApiError Body(ApiException exception) => new(new ApiErrorDetail(exception.Message, TypeOf(exception.Status), exception.Param, exception.Code));

    /// <summary>Answers with an error; nothing may have been written yet.</summary>
    public static Task WriteAsync(HttpContext context, ApiException exception)
    {
        context.Response.StatusCode = exception.Status;
        if (exception.RetryAfter is { } wait)
            context.Response.Headers.RetryAfter = Math.Max(1, (int)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        return context.Response.WriteAsJsonAsync(Body(exception), ApiJson.Options, context.RequestAborted);
    }

    private static string TypeOf(int status) => status switch
    {
        StatusCodes.Status401Unauthorized => "authentication_error",
        StatusCodes.Status403Forbidden => "permission_error",
        StatusCodes.Status429TooManyRequests => "rate_limit_error",
        < StatusCodes.Status500InternalServerError => "invalid_request_error",
        _ => "server_error",
    };
}

/// <summary>What went wrong.</summary>
internal sealed record ApiErrorDetail(string Message, string Type, string? Param, string? Code);
