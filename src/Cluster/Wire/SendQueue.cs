using Grok1Cluster.Grpc;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>
/// Sends messages of a stream in order without ever making the caller wait: on the calling thread as long as the connection
/// takes them at once, after that as flow control lets them go. Thread-safe.
/// </summary>
/// <param name="writer">The stream; nobody else writes to it.</param>
/// <param name="sent">Told of each message that is no longer needed, sent or not.</param>
/// <param name="failed">Told once, when the stream takes no more; everything after that is dropped.</param>
/// <param name="ended">The end of the stream.</param>
public sealed class SendQueue<TFrame>(IMessageWriter<TFrame> writer, Action<TFrame> sent, Action<Exception> failed, CancellationToken ended)
{
    private readonly Lock _gate = new();
    private readonly Queue<TFrame> _frames = [];
    private bool _sending;
    private bool _failed;

    /// <summary>Sends a message, or queues it behind those that wait.</summary>
    public void Send(TFrame frame)
    {
        lock (_gate)
        {
            _frames.Enqueue(frame);
            if (_sending)
                return;
            _sending = true;
        }
        SendAll();
    }

    private void SendAll()
    {
        while (TryNext(out var frame))
        {
            if (_failed)
            {
                sent(frame);
                continue;
            }
            ValueTask write;
            try
            {
                write = writer.WriteAsync(frame, ended);
                if (!write.IsCompleted)
                {
                    _ = SendLaterAsync(write, frame);
                    return;
                }
                write.GetAwaiter().GetResult();
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException or InvalidOperationException)
            {
                Fail(e);
            }
            sent(frame);
        }
    }

    private async Task SendLaterAsync(ValueTask write, TFrame frame)
    {
        try
        {
            await write;
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException or InvalidOperationException)
        {
            Fail(e);
        }
        sent(frame);
        SendAll();
    }

    private void Fail(Exception cause)
    {
        _failed = true;
        failed(cause);
    }

    private bool TryNext([System.Diagnostics.CodeAnalysis.MaybeNullWhen(false)] out TFrame frame)
    {
        lock (_gate)
        {
            if (_frames.TryDequeue(out frame))
                return true;
            _sending = false;
            return false;
        }
    }
}
