namespace Grok1Cluster.Grpc.Http2;

/// <summary>Takes frames off a connection. Large payloads are received straight into the buffer of their stream.</summary>
/// <param name="socket">Where the bytes come from.</param>
internal sealed class FrameReader(ConnectionSocket socket)
{
    /// <summary>Largest payload, other than of DATA, that is looked at; it fits into the buffer whole.</summary>
    public const int LargestControlPayload = BufferBytes - FrameHeader.Bytes;

    private const int BufferBytes = 64 << 10;

    /// <summary>What is left of a payload from which on it is worth a system call of its own to save a copy.</summary>
    private const int DirectFrom = 16 << 10;

    /// <summary>Room asked for at once in a stream's buffer; more is used where it is there.</summary>
    private const int DirectStep = 256 << 10;

    /// <summary>Made with the first bytes: a connection that sends none costs none.</summary>
    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private long _lastReceived = Environment.TickCount64;

    /// <summary>When bytes came last, in <see cref="Environment.TickCount64"/>.</summary>
    public long LastReceived => Volatile.Read(ref _lastReceived);

    /// <summary>Takes the header of the next frame; false at the end of the connection.</summary>
    public bool TryReadHeader(out FrameHeader header)
    {
        header = default;
        if (!TryFill(FrameHeader.Bytes))
            return _start == _end ? false : throw EndInside();
        header = FrameHeader.Read(_buffer.AsSpan(_start));
        _start += FrameHeader.Bytes;
        return true;
    }

    /// <summary>Takes exactly <paramref name="count"/> bytes, at most the buffer's size; valid until the next read.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (!TryFill(count))
            throw EndInside();
        _start += count;
        return _buffer.AsSpan(_start - count, count);
    }

    /// <summary>Takes <paramref name="count"/> bytes and forgets them.</summary>
    public void Skip(int count)
    {
        while (count > 0)
        {
            if (!TryFill(1))
                throw EndInside();
            var part = Math.Min(count, _end - _start);
            _start += part;
            count -= part;
        }
    }

    /// <summary>Takes <paramref name="count"/> bytes for a stream.</summary>
    public void ReadInto(StreamInput input, int count)
    {
        while (count > 0)
        {
            int part;
            if (_start == _end && count >= DirectFrom)
            {
                var room = input.Room(Math.Min(count, DirectStep)).Span;
                part = socket.Receive(room[..Math.Min(room.Length, count)]);
                if (part == 0)
                    throw EndInside();
                Volatile.Write(ref _lastReceived, Environment.TickCount64);
                input.Received(part);
            }
            else
            {
                if (!TryFill(1))
                    throw EndInside();
                part = Math.Min(count, _end - _start);
                _buffer.AsSpan(_start, part).CopyTo(input.Room(part).Span);
                _start += part;
                input.Received(part);
            }
            count -= part;
        }
    }

    /// <summary>Receives until <paramref name="count"/> bytes are in the buffer; false if the connection ends before.</summary>
    private bool TryFill(int count)
    {
        if (_buffer.Length == 0)
            _buffer = new byte[BufferBytes];
        if (_start == _end)
            _start = _end = 0;
        if (count > _buffer.Length - _start)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        while (_end - _start < count)
        {
            var received = socket.Receive(_buffer.AsSpan(_end));
            if (received == 0)
                return false;
            Volatile.Write(ref _lastReceived, Environment.TickCount64);
            _end += received;
        }
        return true;
    }

    private static IOException EndInside() => new("the peer has closed the connection inside a frame");
}
