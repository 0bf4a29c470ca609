namespace Grok1Cluster.Cluster.Wire;

/// <summary>Frames that are not in use, with the buffers they have grown. Thread-safe.</summary>
/// <param name="kept">Most frames kept; further ones are left to the collector.</param>
public sealed class FramePool<TFrame>(int kept) where TFrame : class, IWireFrame, new()
{
    private readonly Stack<TFrame> _frames = new(kept);

    public TFrame Rent()
    {
        lock (_frames)
            return _frames.TryPop(out var frame) ? frame : new TFrame();
    }

    /// <summary>Gives back a frame that nobody looks at any more.</summary>
    public void Return(TFrame frame)
    {
        lock (_frames)
            if (_frames.Count < kept)
                _frames.Push(frame);
    }
}
