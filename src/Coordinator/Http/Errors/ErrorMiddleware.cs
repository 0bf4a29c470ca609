using Grok1Cluster.Coordinator.Logging;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Errors;

/// <summary>Answers what routes throw, and what no route answers, with OpenAI's error body.</summary>
internal static class ErrorMiddleware
{
    public static void UseApiErrors(this IApplicationBuilder application, CoordinatorLog log) => application.Use(async (context, next) =>
    {
        try
        {
            await next(context);
            if (!context.Response.HasStarted && Unanswered(context) is { } unanswered)
                await ApiError.WriteAsync(context, unanswered);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client is gone, and its sequences with it.
        }
        catch (IOException) when (context.RequestAborted.IsCancellationRequested)
        {
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            var error = ApiError.Of(e);
            // A fault of ours: the client gets its message, and whoever mends it needs to know where it was.
            if (error.Status == StatusCodes.Status500InternalServerError)
                log.RequestFailed(context.TraceIdentifier, e);
            await ApiError.WriteAsync(context, error);
        }
    });

    private static ApiException? Unanswered(HttpContext context) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound when context.Response.ContentType is null => new ApiException($"there is nothing at {context.Request.Method} {context.Request.Path}; GET /openapi.json lists what there is", null)
        {
            Status = StatusCodes.Status404NotFound, Code = "unknown_url",
        },
        StatusCodes.Status405MethodNotAllowed when context.Response.ContentType is null => new ApiException($"{context.Request.Path} does not take {context.Request.Method}", null)
        {
            Status = StatusCodes.Status405MethodNotAllowed, Code = "method_not_allowed",
        },
        _ => null,
    };
}
