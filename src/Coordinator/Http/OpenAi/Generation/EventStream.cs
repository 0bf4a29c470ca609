using System.Text.Json;
using System.Threading.Channels;
using Grok1Cluster.Coordinator.Http.Errors;
using Grok1Cluster.Coordinator.Http.Requests;
using Microsoft.AspNetCore.Http;

namespace Grok1Cluster.Coordinator.Http.OpenAi.Generation;

/// <summary>Server-sent events as OpenAI's API has them: each a JSON value, at the end <c>[DONE]</c>; comments while nothing happens.</summary>
/// <param name="context">The request.</param>
/// <param name="keepAlive">How long nothing may happen before a comment is sent.</param>
/// <param name="time">The clock.</param>
internal sealed class EventStream(HttpContext context, TimeSpan keepAlive, TimeProvider time)
{
    /// <summary>A connection without a byte for longer than this may be cut by what lies between.</summary>
    public static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(10);

    private static readonly byte[] Comment = ": keep-alive\n\n"u8.ToArray();
    private static readonly byte[] Prefix = "data: "u8.ToArray();
    private static readonly byte[] Suffix = "\n\n"u8.ToArray();
    private static readonly byte[] Done = "data: [DONE]\n\n"u8.ToArray();

    /// <summary>Sends what happens until all choices have ended. A failure becomes an event of its own.</summary>
    /// <param name="events">What happens.</param>
    /// <param name="toBody">The JSON values that an event is told in, none or several.</param>
    /// <param name="last">A value after all others, or null.</param>
    public async Task SendAsync(ChannelReader<ChoiceEvent> events, Func<ChoiceEvent, IEnumerable<object>> toBody, Func<object?> last)
    {
        var cancel = context.RequestAborted;
        context.Response.ContentType = "text/event-stream; charset=utf-8";
        context.Response.Headers.CacheControl = "no-cache";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        await context.Response.Body.FlushAsync(cancel);
        try
        {
            while (await WaitAsync(events, cancel))
                while (events.TryRead(out var happened))
                    foreach (var body in toBody(happened))
                        await SendAsync(body, cancel);
            if (last() is { } end)
                await SendAsync(end, cancel);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            await SendAsync(ApiError.Body(ApiError.Of(e)), cancel);
        }
        await WriteAsync(Done, cancel);
    }

    private async Task<bool> WaitAsync(ChannelReader<ChoiceEvent> events, CancellationToken cancel)
    {
        var waiting = events.WaitToReadAsync(cancel).AsTask();
        while (true)
        {
            try
            {
                return await waiting.WaitAsync(keepAlive, time, cancel);
            }
            catch (TimeoutException) when (!waiting.IsFaulted)
            {
                await WriteAsync(Comment, cancel);
            }
        }
    }

    private async Task SendAsync(object body, CancellationToken cancel)
    {
        await context.Response.Body.WriteAsync(Prefix, cancel);
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(body, body.GetType(), ApiJson.Options), cancel);
        await WriteAsync(Suffix, cancel);
    }

    private async Task WriteAsync(byte[] bytes, CancellationToken cancel)
    {
        await context.Response.Body.WriteAsync(bytes, cancel);
        await context.Response.Body.FlushAsync(cancel);
    }
}
