using System.Text.Json;
using System.Threading.Channels;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Requests;
using Grok1Cluster.Coordinator.Operations;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.Operations;

/// <summary>Runs a change of the cluster and tells its client how far it is, a line of JSON each.</summary>
internal sealed class OperationStream(HttpContext context)
{
    /// <summary>A client that is slower than the change misses steps, not the end.</summary>
    private readonly Channel<OperationProgress> _steps = Channel.CreateBounded<OperationProgress>(new BoundedChannelOptions(16) { FullMode = BoundedChannelFullMode.DropOldest });

    /// <summary>Returns when the change is made. A fault before the first step answers with 409 (400 where what was asked for does not exist), a later one with a last line.</summary>
    public async Task RunAsync(Func<Action<OperationProgress>, Task> operation)
    {
        var running = CompleteAsync(operation);
        if (!await _steps.Reader.WaitToReadAsync(context.RequestAborted))
        {
            await Translated(running);
            return;
        }
        context.Response.ContentType = "application/x-ndjson";
        await foreach (var step in _steps.Reader.ReadAllAsync(context.RequestAborted))
            await WriteAsync(new Step(step.Operation, step.Phase.ToString().ToLowerInvariant(), step.DoneBytes, step.TotalBytes));
        try
        {
            await Translated(running);
        }
        catch (Exception e)
        {
            // The status is sent: whatever it is has to be told in the last line.
            await WriteAsync(ApiError.Body(ApiError.Of(e)));
        }
    }

    private async Task CompleteAsync(Func<Action<OperationProgress>, Task> operation)
    {
        // At once: what it does before its first wait must not hold up the server's thread.
        await Task.Yield();
        try
        {
            await operation(step => _steps.Writer.TryWrite(step));
        }
        finally
        {
            _steps.Writer.TryComplete();
        }
    }

    private static async Task Translated(Task running)
    {
        try
        {
            await running;
        }
        catch (OperationException e)
        {
            throw e.Argument is { } argument ? new ApiException(e.Message, argument)
                : new ApiException(e.Message, null) { Status = StatusCodes.Status409Conflict, Code = "cluster_unchanged" };
        }
    }

    private async Task WriteAsync<T>(T line)
    {
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(line, ApiJson.Options), context.RequestAborted);
        await context.Response.Body.WriteAsync("\n"u8.ToArray(), context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }

    private sealed record Step(string Operation, string Phase, long DoneBytes, long TotalBytes);
}
