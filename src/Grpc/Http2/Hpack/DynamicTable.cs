namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>The headers that the peer has told us to remember, the newest first (RFC 7541, sections 2.3.2 and 4).</summary>
/// <param name="limit">Largest size that we allow, in bytes as the specification counts them.</param>
internal sealed class DynamicTable(int limit)
{
    /// <summary>What the specification adds to the length of each header.</summary>
    public const int EntryOverhead = 32;

    // A ring; an entry takes at least the overhead, so it is never too small.
    private readonly (string Name, string Value)[] _entries = new (string, string)[limit / EntryOverhead + 1];
    private int _newest;
    private int _size;
    private readonly int _limit = limit;
    private int _maxSize = limit;

    /// <summary>Headers held.</summary>
    public int Count { get; private set; }

    /// <summary>What a header counts.</summary>
    public static int SizeOf(string name, string value) => name.Length + value.Length + EntryOverhead;

    /// <summary>The header at <paramref name="index"/>, 0 being the newest.</summary>
    public (string Name, string Value) At(int index) => _entries[(_newest - index + _entries.Length) % _entries.Length];

    /// <summary>Adds a header, for which the oldest make room; one larger than the table empties it.</summary>
    public void Add(string name, string value)
    {
        var size = SizeOf(name, value);
        Evict(_maxSize - size);
        if (size > _maxSize)
            return;
        _newest = (_newest + 1) % _entries.Length;
        _entries[_newest] = (name, value);
        _size += size;
        Count++;
    }

    /// <summary>Changes the size as the peer wants it.</summary>
    /// <exception cref="Http2Exception">It is over our limit.</exception>
    public void Resize(int maxSize)
    {
        if (maxSize > _limit)
            throw new Http2Exception(ErrorCode.CompressionError, $"a header table of {maxSize} bytes is more than the {_limit} allowed");
        _maxSize = maxSize;
        Evict(maxSize);
    }

    private void Evict(int allowed)
    {
        while (Count > 0 && _size > allowed)
        {
            var oldest = (_newest - Count + 1 + _entries.Length) % _entries.Length;
            _size -= SizeOf(_entries[oldest].Name, _entries[oldest].Value);
            _entries[oldest] = default;
            Count--;
        }
    }
}
