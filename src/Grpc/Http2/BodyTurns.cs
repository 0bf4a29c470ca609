namespace Grok1Cluster.Grpc.Http2;

/// <summary>Whose body is sent next: the streams in turn, a frame each, within their windows and the connection's. Guarded by the sender's lock.</summary>
internal sealed class BodyTurns
{
    private readonly Queue<StreamOutput> _ready = new();
    private StreamOutput? _underWay;

    /// <summary>Bytes of bodies that the peer takes on the connection.</summary>
    public FlowWindow Window = new(PeerSettings.DefaultWindow);

    /// <summary>Gives the output a turn, if it has something that may be sent.</summary>
    public void Queue(StreamOutput output)
    {
        if (output.Queued || output.Dead || output.Unsent == 0 || output.Window.Available <= 0 || _underWay == output)
            return;
        output.Queued = true;
        _ready.Enqueue(output);
    }

    /// <summary>Whether all that was flushed has left.</summary>
    public bool IsDrained(StreamOutput output) => output.Unsent == 0 && _underWay != output;

    /// <summary>Takes the frame whose turn it is, which is under way until <see cref="EndFrame"/>; false where nothing may be sent.</summary>
    /// <param name="maxFrame">Largest payload, in bytes.</param>
    /// <param name="frame">Header and payload.</param>
    public bool TryTake(int maxFrame, out ReadOnlyMemory<byte> frame)
    {
        frame = default;
        if (Window.Available <= 0)
            return false;
        while (_ready.TryDequeue(out var output))
        {
            output.Queued = false;
            var payload = Math.Min(Math.Min(output.Unsent, output.Window.Available), Math.Min(Window.Available, maxFrame));
            if (output.Dead || payload <= 0)
                continue;
            Window.Take(payload);
            frame = output.TakeFrame(payload);
            _underWay = output;
            return true;
        }
        return false;
    }

    /// <summary>The frame under way has left. The result is its output if that has nothing more to send; null also where the frame was no body's.</summary>
    public StreamOutput? EndFrame()
    {
        if (_underWay is not { } output)
            return null;
        _underWay = null;
        if (output.Dead)
            return null;
        if (output.Unsent > 0)
        {
            Queue(output);
            return null;
        }
        output.Rewind();
        return output;
    }
}
