namespace Grok1Cluster.Grpc.Http2;

/// <summary>Bytes that grow at the end.</summary>
internal sealed class ByteBuffer
{
    private byte[] _bytes = new byte[256];

    /// <summary>Bytes written.</summary>
    public int Count { get; private set; }

    /// <summary>What was written; valid until the next change.</summary>
    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Count);

    public void Add(byte value) => Take(1)[0] = value;

    public void Add(ReadOnlySpan<byte> values) => values.CopyTo(Take(values.Length));

    /// <summary>Appends <paramref name="count"/> bytes, to be filled by the caller.</summary>
    public Span<byte> Take(int count)
    {
        if (count > _bytes.Length - Count)
            Array.Resize(ref _bytes, Math.Max(Count + count, 2 * _bytes.Length));
        Count += count;
        return _bytes.AsSpan(Count - count, count);
    }

    /// <summary>The bytes from <paramref name="start"/> on, to be corrected by the caller.</summary>
    public Span<byte> From(int start) => _bytes.AsSpan(start, Count - start);

    /// <summary>Forgets what lies behind <paramref name="count"/>.</summary>
    public void Truncate(int count) => Count = count;

    public void Clear() => Count = 0;
}
