namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>Integers with a prefix of n bits (RFC 7541, section 5.1).</summary>
internal static class HpackInteger
{
    /// <summary>Largest value accepted; nothing that is valid here comes near it.</summary>
    private const int Largest = 1 << 24;

    /// <summary>Reads an integer whose first byte is <paramref name="block"/>[<paramref name="position"/>], and moves behind it.</summary>
    /// <exception cref="Http2Exception">It is cut off or too large.</exception>
    public static int Read(ReadOnlySpan<byte> block, ref int position, int prefixBits)
    {
        var mask = (1 << prefixBits) - 1;
        var value = block[position++] & mask;
        if (value < mask)
            return value;
        for (var shift = 0; position < block.Length && shift <= 21; shift += 7)
        {
            var next = block[position++];
            value += (next & 0x7f) << shift;
            if (value > Largest)
                break;
            if (next < 0x80)
                return value;
        }
        throw new Http2Exception(ErrorCode.CompressionError, "an integer of a header block is cut off or too large");
    }

    /// <summary>Writes an integer behind the bits <paramref name="pattern"/> of its first byte.</summary>
    public static void Write(ByteBuffer to, byte pattern, int prefixBits, int value)
    {
        var mask = (1 << prefixBits) - 1;
        if (value < mask)
        {
            to.Add((byte)(pattern | value));
            return;
        }
        to.Add((byte)(pattern | mask));
        for (value -= mask; value >= 0x80; value >>= 7)
            to.Add((byte)(value | 0x80));
        to.Add((byte)value);
    }
}
