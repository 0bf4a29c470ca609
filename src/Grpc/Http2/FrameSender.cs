using System.Buffers.Binary;
using System.IO.Pipelines;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// Everything that leaves on a connection. Whoever has something to send does so itself, in one piece and without waiting; only
/// when the system takes no more does a thread of the connection wait until it does and go on. Control frames go first, then the
/// streams in turn, a frame each.
/// </summary>
internal sealed class FrameSender(ConnectionSocket socket, StreamTable streams)
{
    /// <summary>Control frames that a peer may leave unread; one that sends requests without reading the answers would have them pile up.</summary>
    private const int MaxControlBytes = 1 << 20;

    private readonly Lock _gate = new();
    private readonly Queue<StreamOutput> _ready = new();
    private readonly AutoResetEvent _blockedEvent = new(false);
    private ByteBuffer _control = new();
    private ByteBuffer _controlUnderWay = new();
    private ReadOnlyMemory<byte> _underWay;
    private StreamOutput? _underWayOutput;
    private StreamOutput? _done;
    private FlowWindow _window = new(PeerSettings.DefaultWindow);
    private int _maxFrame = FrameHeader.DefaultMaxPayload;
    private bool _tableTold;
    private bool _blocked;
    private bool _endWhenEmpty;
    private Exception? _failure;
    private Thread? _thread;

    /// <summary>Sends what a peer starts with, or nothing but the settings.</summary>
    public void SendSettings(ReadOnlySpan<byte> preface, IReadOnlyList<(SettingId Id, uint Value)> settings, int connectionWindow)
    {
        lock (_gate)
        {
            _control.Add(preface);
            var payload = Frame(FrameType.Settings, FrameFlags.None, 0, settings.Count * PeerSettings.EntryBytes);
            foreach (var (id, value) in settings)
            {
                BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)id);
                BinaryPrimitives.WriteUInt32BigEndian(payload[2..], value);
                payload = payload[PeerSettings.EntryBytes..];
            }
            if (connectionWindow > PeerSettings.DefaultWindow)
                BinaryPrimitives.WriteInt32BigEndian(Frame(FrameType.WindowUpdate, FrameFlags.None, 0, 4), connectionWindow - PeerSettings.DefaultWindow);
            Pump();
        }
        EndWaits();
    }

    /// <summary>Sends a control frame. A peer that leaves too many unread loses the connection.</summary>
    public void Send(FrameType type, FrameFlags flags, int streamId, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            payload.CopyTo(Frame(type, flags, streamId, payload.Length));
            Pump();
            if (_control.Count > MaxControlBytes)
                Break(new IOException("the peer leaves too many answers unread"));
        }
        EndWaits();
    }

    /// <summary>Sends a control frame whose payload is one number.</summary>
    public void Send(FrameType type, int streamId, uint value)
    {
        Span<byte> payload = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(payload, value);
        Send(type, FrameFlags.None, streamId, payload);
    }

    /// <summary>Sends GOAWAY.</summary>
    public void SendGoAway(int lastStreamId, ErrorCode code)
    {
        Span<byte> payload = stackalloc byte[8];
        BinaryPrimitives.WriteInt32BigEndian(payload, lastStreamId);
        BinaryPrimitives.WriteUInt32BigEndian(payload[4..], (uint)code);
        Send(FrameType.GoAway, FrameFlags.None, 0, payload);
    }

    /// <summary>Takes over the peer's settings, by which the windows of all open streams change, and acknowledges them.</summary>
    /// <exception cref="Http2Exception">A window becomes too large.</exception>
    public void Apply(PeerSettings settings)
    {
        lock (_gate)
        {
            _maxFrame = settings.MaxFrame;
            foreach (var stream in streams.ChangeWindow(settings.InitialWindow, out var change))
            {
                if (!stream.Output.Window.TryAdd(change))
                    throw new Http2Exception(ErrorCode.FlowControlError, "a change of SETTINGS_INITIAL_WINDOW_SIZE makes a window too large");
                Queue(stream.Output);
            }
            Frame(FrameType.Settings, FrameFlags.Ack, 0, 0);
            Pump();
        }
        EndWaits();
    }

    /// <summary>The peer lets more bytes through on the connection; false if its window becomes too large.</summary>
    public bool TryGrant(int bytes)
    {
        bool fits;
        lock (_gate)
        {
            fits = _window.TryAdd(bytes);
            Pump();
        }
        EndWaits();
        return fits;
    }

    /// <summary>The peer lets more bytes through on a stream; false if its window becomes too large.</summary>
    public bool TryGrant(StreamOutput output, int bytes)
    {
        bool fits;
        lock (_gate)
        {
            fits = output.Window.TryAdd(bytes);
            Queue(output);
            Pump();
        }
        EndWaits();
        return fits;
    }

    /// <summary>Sends what was written to <paramref name="output"/>; the first time its head as well.</summary>
    public ValueTask<FlushResult> FlushAsync(StreamOutput output, CancellationToken cancellationToken)
    {
        ValueTask<FlushResult> flush;
        Exception? refused = null;
        lock (_gate)
        {
            if (!output.Dead)
            {
                output.FlushWritten();
                refused = Open(output, FrameFlags.None);
                Queue(output);
                Pump();
            }
            if (output.TakeCancellation())
                output.Kill(null);
            if (output.Dead)
                flush = output.Fault is { } fault ? ValueTask.FromException<FlushResult>(fault) : ValueTask.FromResult(new FlushResult(true, false));
            else
                flush = IsDrained(output) ? ValueTask.FromResult(default(FlushResult)) : output.Await(cancellationToken);
        }
        EndWaits();
        TellRefused(output, refused);
        return flush;
    }

    /// <summary>Sends what is written and not flushed, then the end of the stream.</summary>
    /// <param name="output">The body that ends.</param>
    /// <param name="trailers">Sent after the body; where nothing has been sent and there is no body, END_STREAM goes with the head and these must be empty.</param>
    public void End(StreamOutput output, HeaderList trailers)
    {
        Exception? refused;
        lock (_gate)
        {
            if (output.Dead || output.Ending is not null)
                return;
            output.FlushWritten();
            output.Ending = trailers;
            var headAlone = output.Head is not null && output.Unsent == 0 && trailers.Count == 0;
            refused = Open(output, headAlone ? FrameFlags.EndStream : FrameFlags.None);
            if (headAlone)
                EndLocal(output);
            else if (IsDrained(output))
                SendEnd(output);
            else
                Queue(output);
            Pump();
        }
        EndWaits();
        TellRefused(output, refused);
    }

    /// <summary>Breaks the stream off for a reason, which who waits for it is told; with <paramref name="tell"/> so is the peer, where it knows the stream.</summary>
    public void Kill(StreamOutput output, ErrorCode? tell, Exception? fault)
    {
        bool wake;
        lock (_gate)
        {
            if (tell is { } code && streams.Forget(output.Stream))
                Reset(output.Stream, code);
            output.Kill(fault);
            wake = output.TakeWaiter();
            Pump();
        }
        if (wake)
            output.EndWait();
        EndWaits();
    }

    /// <summary>Cancels the flush that waits, or the next.</summary>
    public void CancelFlush(StreamOutput output, CancellationToken token)
    {
        bool wake;
        lock (_gate)
            wake = output.Cancel(token.CanBeCanceled ? new OperationCanceledException(token) : null);
        if (wake)
            output.EndWait();
    }

    /// <summary>Ends the sending side of the connection as soon as everything has left.</summary>
    public void EndWhenEmpty()
    {
        lock (_gate)
        {
            _endWhenEmpty = true;
            Pump();
        }
        EndWaits();
    }

    /// <summary>The connection is gone: nothing is sent any more. The streams are told by their connection.</summary>
    public void Fail(Exception failure)
    {
        lock (_gate)
            _failure ??= failure;
        _blockedEvent.Set();
    }

    /// <summary>Sends the head unless it was sent. An output that cannot send any more dies, and the result says why.</summary>
    private Exception? Open(StreamOutput output, FrameFlags flags)
    {
        Exception? refused = _failure;
        if (refused is null && output.Head is null)
            return null;
        if (refused is null && !streams.TryOpen(output.Stream))
            refused = new Http2Exception(ErrorCode.RefusedStream, "the connection takes no new streams");
        if (refused is null)
        {
            Headers(output.Stream.Id, output.Head!, flags);
            output.Head = null;
        }
        else
            output.Kill(refused);
        return refused;
    }

    /// <summary>A stream that was never opened is in no table, so nobody else would tell it that its connection is gone.</summary>
    private static void TellRefused(StreamOutput output, Exception? refused)
    {
        if (refused is not null && output.Stream.Id == 0)
            output.Stream.OnBroken(refused);
    }

    private void SendEnd(StreamOutput output)
    {
        if (output.Dead)
            return;
        if (output.Ending!.Count > 0)
            Headers(output.Stream.Id, output.Ending, FrameFlags.EndStream);
        else
            Frame(FrameType.Data, FrameFlags.EndStream, output.Stream.Id, 0);
        EndLocal(output);
    }

    private void EndLocal(StreamOutput output)
    {
        if (output.Dead)
            return;
        output.Kill(null);
        if (streams.EndLocal(output.Stream))
            Reset(output.Stream, ErrorCode.NoError);
    }

    private void Reset(Http2Stream stream, ErrorCode code) =>
        BinaryPrimitives.WriteUInt32BigEndian(Frame(FrameType.RstStream, FrameFlags.None, stream.Id, 4), (uint)code);

    /// <summary>Appends a control frame and returns its payload, to be filled.</summary>
    private Span<byte> Frame(FrameType type, FrameFlags flags, int streamId, int length)
    {
        new FrameHeader(length, type, flags, streamId).Write(_control.Take(FrameHeader.Bytes));
        return _control.Take(length);
    }

    private void Headers(int streamId, HeaderList headers, FrameFlags flags)
    {
        var start = _control.Count;
        Frame(FrameType.Headers, flags | FrameFlags.EndHeaders, streamId, 0);
        if (!_tableTold)
            HpackEncoder.AppendEmptyTable(_control);
        _tableTold = true;
        HpackEncoder.Append(_control, headers);
        var length = _control.Count - start - FrameHeader.Bytes;
        var first = Math.Min(length, _maxFrame);
        var flag = first == length ? FrameFlags.EndHeaders : FrameFlags.None;
        new FrameHeader(first, FrameType.Headers, flags | flag, streamId).Write(_control.From(start));
        if (first < length)
            Continue(streamId, start + FrameHeader.Bytes + first);
    }

    /// <summary>Cuts what follows <paramref name="start"/> into CONTINUATION frames.</summary>
    private void Continue(int streamId, int start)
    {
        var rest = _control.From(start).ToArray();
        _control.Truncate(start);
        for (var sent = 0; sent < rest.Length;)
        {
            var part = Math.Min(rest.Length - sent, _maxFrame);
            var flag = sent + part == rest.Length ? FrameFlags.EndHeaders : FrameFlags.None;
            rest.AsSpan(sent, part).CopyTo(Frame(FrameType.Continuation, flag, streamId, part));
            sent += part;
        }
    }

    private bool IsDrained(StreamOutput output) => output.Unsent == 0 && _underWayOutput != output;

    private void Queue(StreamOutput output)
    {
        if (output.Queued || output.Dead || output.Unsent == 0 || output.Window.Available <= 0 || _underWayOutput == output)
            return;
        output.Queued = true;
        _ready.Enqueue(output);
    }

    /// <summary>Sends until nothing is left that may be sent, or the system takes no more.</summary>
    private void Pump()
    {
        if (_blocked || _failure is not null)
            return;
        try
        {
            while (_underWay.Length > 0 || TryTakeNext())
            {
                var sent = socket.Send(_underWay.Span);
                _underWay = _underWay[sent..];
                if (sent == 0)
                {
                    Block();
                    return;
                }
                if (_underWay.Length == 0)
                    EndFrame();
            }
            if (!socket.TryFlush())
                Block();
            else if (_endWhenEmpty)
                socket.EndSending();
        }
        catch (Exception broken) when (broken is IOException or ObjectDisposedException or InvalidOperationException)
        {
            Break(broken);
        }
    }

    /// <summary>The thread that reads finds the end of the connection and tells the streams.</summary>
    private void Break(Exception cause)
    {
        _failure ??= cause;
        socket.Abort();
    }

    private bool TryTakeNext()
    {
        if (_control.Count > 0)
        {
            (_control, _controlUnderWay) = (_controlUnderWay, _control);
            _control.Clear();
            _underWay = _controlUnderWay.Written;
            return true;
        }
        if (_window.Available <= 0)
            return false;
        while (_ready.TryDequeue(out var output))
        {
            output.Queued = false;
            var payload = Math.Min(Math.Min(output.Unsent, output.Window.Available), Math.Min(_window.Available, _maxFrame));
            if (output.Dead || payload <= 0)
                continue;
            _window.Take(payload);
            _underWay = output.TakeFrame(payload);
            _underWayOutput = output;
            return true;
        }
        return false;
    }

    private void EndFrame()
    {
        if (_underWayOutput is not { } output)
            return;
        _underWayOutput = null;
        if (output.Dead)
            return;
        if (output.Unsent > 0)
        {
            Queue(output);
            return;
        }
        output.Rewind();
        if (output.Ending is not null)
            SendEnd(output);
        if (output.TakeWaiter())
            (output.NextDone, _done) = (_done, output);
    }

    /// <summary>Ends the flushes that are done, outside the lock because their continuations may send again.</summary>
    private void EndWaits()
    {
        if (Volatile.Read(ref _done) is null)
            return;
        StreamOutput? done;
        lock (_gate)
            (done, _done) = (_done, null);
        while (done is not null)
        {
            var next = done.NextDone;
            done.NextDone = null;
            done.EndWait();
            done = next;
        }
    }

    private void Block()
    {
        _blocked = true;
        if (_thread is null)
        {
            _thread = new Thread(SendWhenWritable) { IsBackground = true, Name = "http2-send" };
            _thread.Start();
        }
        _blockedEvent.Set();
    }

    private void SendWhenWritable()
    {
        while (true)
        {
            _blockedEvent.WaitOne();
            lock (_gate)
                if (_failure is not null)
                    return;
            try
            {
                socket.WaitUntilWritable();
            }
            catch (Exception gone) when (gone is System.Net.Sockets.SocketException or ObjectDisposedException)
            {
                return;
            }
            lock (_gate)
            {
                _blocked = false;
                Pump();
            }
            EndWaits();
        }
    }
}
