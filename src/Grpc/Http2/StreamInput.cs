using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// The body that a stream receives. The connection's thread appends, one reader takes; the reader sees the bytes where they were
/// received. The buffer grows with what has come, never with what was announced, and the windows of flow control limit it.
/// </summary>
/// <param name="credit">Told how many bytes the reader has looked at, for which the peer may send others.</param>
internal sealed class StreamInput(Action<int> credit) : PipeReader, IValueTaskSource<ReadResult>
{
    private const int SmallestBuffer = 4 << 10;

    private readonly Lock _gate = new();
    private ManualResetValueTaskSourceCore<ReadResult> _wait = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _onCancelled;
    private CancellationToken _cancels;
    private byte[] _buffer = [];
    private int _start;
    private int _end;

    // Bytes from _start on that the reader has looked at, and, at least as many, those given back to flow control.
    private int _examined;
    private int _credited;
    // Bytes that the pending read waits for; 0 if none is pending.
    private int _wanted;
    // What the reader has been lent begins here, in the array that was the buffer then.
    private int _lentStart;
    private bool _lent;
    private bool _ended;
    private bool _dropped;
    private bool _cancelNext;
    private Exception? _fault;

    /// <summary>Whether who waits for bytes goes on on the connection's thread instead of the thread pool's.</summary>
    public MessageScheduling Scheduling
    {
        set => _wait.RunContinuationsAsynchronously = value == MessageScheduling.Pool;
    }

    /// <summary>Room for at least <paramref name="count"/> more bytes, to be followed by <see cref="Received"/>. For the connection's thread.</summary>
    public Memory<byte> Room(int count)
    {
        lock (_gate)
        {
            var held = _end - _start;
            if (held == 0 && !_lent)
                _start = _end = 0;
            if (count > _buffer.Length - _end)
            {
                // What the reader has been lent must stay where it is.
                var fits = !_lent && held + count <= _buffer.Length;
                var next = fits ? _buffer : GC.AllocateUninitializedArray<byte>(NewSize(held + count));
                _buffer.AsSpan(_start, held).CopyTo(next);
                (_buffer, _start, _end) = (next, 0, held);
            }
            return _buffer.AsMemory(_end);
        }
    }

    /// <summary>Takes over bytes written to <see cref="Room"/>. For the connection's thread.</summary>
    public void Received(int count)
    {
        var looked = count;
        ReadResult? woken = null;
        lock (_gate)
        {
            if (!_dropped)
            {
                _end += count;
                // A read that waits for more has looked at all there is; without room it would wait for ever.
                looked = _wanted > 0 ? _end - _start - _credited : 0;
                _credited += looked;
                if (_wanted > 0 && _end - _start >= _wanted && TakeWaiter())
                    woken = Lend(cancelled: false);
            }
        }
        if (looked > 0)
            credit(looked);
        Wake(woken);
    }

    /// <summary>The peer has sent its last byte.</summary>
    public void End()
    {
        ReadResult? woken = null;
        lock (_gate)
        {
            if (_ended || _fault is not null)
                return;
            _ended = true;
            if (TakeWaiter())
                woken = Lend(cancelled: false);
        }
        Wake(woken);
    }

    /// <summary>No more bytes will come, for a reason. What has come is lost; a body that has ended stays as it is.</summary>
    public void Fail(Exception fault)
    {
        lock (_gate)
        {
            if (_ended || _fault is not null)
                return;
            _fault = fault;
            if (!TakeWaiter())
                return;
        }
        _onCancelled.Unregister();
        _wait.SetException(fault);
    }

    /// <summary>Nobody will read any more, whatever comes.</summary>
    public void Drop()
    {
        int left;
        lock (_gate)
        {
            if (_dropped)
                return;
            _dropped = true;
            left = _end - _start - _credited;
            // The reader may still look at the old buffer, and the connection still fill it.
            (_buffer, _start, _end, _credited, _lent) = ([], 0, 0, 0, false);
        }
        if (left > 0)
            credit(left);
        Fail(new OperationCanceledException("the stream was closed"));
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => ReadAsync(0, cancellationToken);

    protected override ValueTask<ReadResult> ReadAtLeastAsyncCore(int minimumSize, CancellationToken cancellationToken) => ReadAsync(minimumSize, cancellationToken);

    public override bool TryRead(out ReadResult result)
    {
        lock (_gate)
            return TryReadCore(_examined + 1, out result);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        int looked;
        lock (_gate)
        {
            if (_dropped)
                return;
            if (!_lent)
                throw new InvalidOperationException("nothing was read");
            _lent = false;
            var (taken, seen) = (consumed.GetInteger() - _lentStart, examined.GetInteger() - _lentStart);
            looked = Math.Max(0, seen - _credited);
            _start += taken;
            _examined = seen - taken;
            _credited += looked - taken;
        }
        if (looked > 0)
            credit(looked);
    }

    public override void CancelPendingRead()
    {
        ReadResult? woken = null;
        lock (_gate)
        {
            if (TakeWaiter())
                woken = Lend(cancelled: true);
            else
                _cancelNext = true;
        }
        Wake(woken);
    }

    public override void Complete(Exception? exception = null) => Drop();

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    private ValueTask<ReadResult> ReadAsync(int minimum, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
            return ValueTask.FromCanceled<ReadResult>(cancellationToken);
        int looked;
        ValueTask<ReadResult> pending;
        lock (_gate)
        {
            if (_lent || _wanted > 0)
                throw new InvalidOperationException("another read is under way");
            var wanted = Math.Max(minimum, _examined + 1);
            if (TryReadCore(wanted, out var result))
                return ValueTask.FromResult(result);
            if (_fault is not null)
                return ValueTask.FromException<ReadResult>(_fault);
            _wanted = wanted;
            looked = _end - _start - _credited;
            _credited += looked;
            _wait.Reset();
            pending = new ValueTask<ReadResult>(this, _wait.Version);
            _cancels = cancellationToken;
            _onCancelled = cancellationToken.UnsafeRegister(static (input, token) => ((StreamInput)input!).GiveUp(token), this);
        }
        if (looked > 0)
            credit(looked);
        return pending;
    }

    private bool TryReadCore(int wanted, out ReadResult result)
    {
        result = default;
        if (_fault is not null || !(_cancelNext || _ended || _end - _start >= wanted))
            return false;
        result = Lend(_cancelNext);
        _cancelNext = false;
        return true;
    }

    /// <summary>Ends the pending read only; nothing is lost.</summary>
    private void GiveUp(CancellationToken token)
    {
        lock (_gate)
            if (token != _cancels || !TakeWaiter())
                return;
        _wait.SetException(new OperationCanceledException(token));
    }

    private bool TakeWaiter()
    {
        var waits = _wanted > 0;
        _wanted = 0;
        return waits;
    }

    private ReadResult Lend(bool cancelled)
    {
        _lent = true;
        _lentStart = _start;
        return new ReadResult(new ReadOnlySequence<byte>(_buffer, _start, _end - _start), cancelled, _ended);
    }

    private void Wake(ReadResult? woken)
    {
        if (woken is not { } result)
            return;
        _onCancelled.Unregister();
        _wait.SetResult(result);
    }

    private int NewSize(int needed) => (int)Math.Min(Math.Max(Math.Max(SmallestBuffer, needed), 2L * _buffer.Length), Array.MaxLength);
}
