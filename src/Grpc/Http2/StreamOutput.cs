using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// The body that a stream sends: one buffer that messages are written to and frames are cut from. Room for a frame header is kept
/// before the first byte; the header of each later frame overwrites bytes that have been sent, so header and payload always leave
/// in one piece and nothing is copied.
/// </summary>
/// <param name="sender">Sends.</param>
/// <param name="stream">The stream.</param>
/// <param name="tellsFaults">Whether a flush that cannot succeed throws, as clients want it, or is cancelled, as servers do.</param>
/// <remarks>What the <see cref="FrameSender"/> uses is guarded by its lock.</remarks>
internal sealed class StreamOutput(FrameSender sender, Http2Stream stream, bool tellsFaults) : PipeWriter, IValueTaskSource<FlushResult>
{
    private const int SmallestBuffer = 4 << 10;

    private ManualResetValueTaskSourceCore<FlushResult> _wait = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _onCancelled;
    private CancellationToken _cancels;
    private byte[] _buffer = [];
    private int _written = FrameHeader.Bytes;

    /// <summary>The stream.</summary>
    public Http2Stream Stream => stream;

    /// <summary>Bytes that the peer takes on this stream, from when it is open. Guarded by the sender.</summary>
    public FlowWindow Window;

    /// <summary>What the first frame carries; null once it was sent. Guarded by the sender.</summary>
    public HeaderList? Head { get; set; }

    /// <summary>Trailers to end with, or an empty list to end without. Guarded by the sender.</summary>
    public HeaderList? Ending { get; set; }

    /// <summary>Whether nothing can be sent any more. Guarded by the sender.</summary>
    public bool Dead { get; private set; }

    /// <summary>Why, if it is to be told; otherwise flushes are cancelled.</summary>
    public Exception? Fault { get; private set; }

    /// <summary>Whether it stands in the sender's queue. Guarded by the sender.</summary>
    public bool Queued { get; set; }

    /// <summary>The next of the outputs whose flush has ended. Guarded by the sender, then owned by who took the list.</summary>
    public StreamOutput? NextDone { get; set; }

    /// <summary>Whether a flush waits. Guarded by the sender.</summary>
    public bool Awaited { get; private set; }

    /// <summary>Bytes to be sent next, behind room for a header. Guarded by the sender.</summary>
    public int Unsent => FlushedTo - SentTo;

    /// <summary>Whether who waits for room goes on on the thread that made it instead of the thread pool's.</summary>
    public MessageScheduling Scheduling
    {
        set => _wait.RunContinuationsAsynchronously = value == MessageScheduling.Pool;
    }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _written - FlushedTo;

    private int SentTo { get; set; } = FrameHeader.Bytes;

    private int FlushedTo { get; set; } = FrameHeader.Bytes;

    private bool CancelNext { get; set; }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (Math.Max(sizeHint, 1) > _buffer.Length - _written)
        {
            var size = Math.Max(Math.Max(SmallestBuffer, _written + (long)sizeHint), 2L * _buffer.Length);
            // The old one is left as it is: a frame may be under way from it.
            var next = GC.AllocateUninitializedArray<byte>((int)Math.Min(size, Array.MaxLength));
            _buffer.AsSpan(0, Math.Min(_written, _buffer.Length)).CopyTo(next);
            _buffer = next;
        }
        return _buffer.AsMemory(_written);
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, _buffer.Length - _written);
        _written += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return sender.FlushAsync(this, cancellationToken);
    }

    public override void CancelPendingFlush() => sender.CancelFlush(this, default);

    public override void Complete(Exception? exception = null) { }

    /// <summary>Everything written so far is to be sent. Guarded by the sender.</summary>
    public void FlushWritten() => FlushedTo = _written;

    /// <summary>Makes the next frame of <paramref name="payload"/> bytes: the header stands in the nine bytes before them. Guarded by the sender.</summary>
    public ReadOnlyMemory<byte> TakeFrame(int payload)
    {
        new FrameHeader(payload, FrameType.Data, FrameFlags.None, stream.Id).Write(_buffer.AsSpan(SentTo - FrameHeader.Bytes));
        var frame = _buffer.AsMemory(SentTo - FrameHeader.Bytes, FrameHeader.Bytes + payload);
        SentTo += payload;
        Window.Take(payload);
        return frame;
    }

    /// <summary>All that was to be sent has been: the buffer is free again. Guarded by the sender.</summary>
    public void Rewind() => SentTo = FlushedTo = _written = FrameHeader.Bytes;

    /// <summary>Makes a flush wait. Guarded by the sender.</summary>
    public ValueTask<FlushResult> Await(CancellationToken cancellationToken)
    {
        Awaited = true;
        _wait.Reset();
        _cancels = cancellationToken;
        _onCancelled = cancellationToken.UnsafeRegister(static (output, token) => ((StreamOutput)output!).GiveUp(token), this);
        return new ValueTask<FlushResult>(this, _wait.Version);
    }

    /// <summary>Takes the flush that waits, to be ended outside the lock; false if none does. Guarded by the sender.</summary>
    public bool TakeWaiter()
    {
        var waits = Awaited;
        Awaited = false;
        return waits;
    }

    /// <summary>Whether the flush that begins is to be cancelled at once. Guarded by the sender.</summary>
    public bool TakeCancellation()
    {
        var cancel = CancelNext;
        CancelNext = false;
        return cancel;
    }

    /// <summary>Cancels the flush that waits or the next one; true if one waits and has to be ended by the caller. Guarded by the sender.</summary>
    public bool Cancel(Exception? fault)
    {
        if (!TakeWaiter())
        {
            CancelNext = true;
            return false;
        }
        // Half a message cannot be taken back.
        Kill(fault);
        return true;
    }

    /// <summary>Nothing can be sent any more. The buffer stays: a frame may be under way from it, and the application may be writing to it. Guarded by the sender.</summary>
    public void Kill(Exception? fault)
    {
        if (Dead)
            return;
        Dead = true;
        Fault = tellsFaults || fault is OperationCanceledException ? fault : null;
    }

    /// <summary>Ends the flush that was taken, by what the stream has come to.</summary>
    public void EndWait()
    {
        _onCancelled.Unregister();
        if (Fault is not null)
            _wait.SetException(Fault);
        else
            _wait.SetResult(new FlushResult(isCanceled: Dead, isCompleted: false));
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    private void GiveUp(CancellationToken token)
    {
        if (token == _cancels)
            sender.CancelFlush(this, token);
    }
}
