namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>
/// The Huffman code of header texts (RFC 7541, appendix B). It is canonical: codes of one length are consecutive in the order of
/// their symbols and follow those of the length before, so the lengths say everything.
/// </summary>
internal static class HuffmanCode
{
    private const int EndOfText = 256, ShortestCode = 5, LongestCode = 30;

    /// <summary>Bits of the code of each symbol: the 256 bytes and the end of text, which is never sent.</summary>
    private static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ];

    /// <summary>Symbols in the order of their codes.</summary>
    private static readonly ushort[] Symbols = [.. Enumerable.Range(0, EndOfText + 1).Select(s => (ushort)s).OrderBy(s => Lengths[s])];

    /// <summary>For each length: its first code, the number of its codes, and where its symbols begin.</summary>
    private static readonly (int Code, int Count, int Symbol)[] Ranges = MakeRanges();

    /// <summary>Most bytes that <paramref name="length"/> bytes can stand for.</summary>
    public static int LongestDecoded(int length) => length * 8 / ShortestCode;

    /// <summary>Decodes a text and returns its length.</summary>
    /// <param name="text">At least <see cref="LongestDecoded"/>.</param>
    /// <exception cref="Http2Exception">It holds the end of text, or is not filled up by at most 7 ones.</exception>
    public static int Decode(ReadOnlySpan<byte> bytes, Span<byte> text)
    {
        int count = 0, code = 0, length = 0;
        foreach (var b in bytes)
            for (var bit = 7; bit >= 0; bit--)
            {
                code = code << 1 | b >> bit & 1;
                length++;
                var range = Ranges[length];
                if (code - range.Code >= range.Count)
                    continue;
                var symbol = Symbols[range.Symbol + code - range.Code];
                if (symbol == EndOfText)
                    throw new Http2Exception(ErrorCode.CompressionError, "a header text holds the end-of-text symbol");
                text[count++] = (byte)symbol;
                code = length = 0;
            }
        if (length > 7 || code != (1 << length) - 1)
            throw new Http2Exception(ErrorCode.CompressionError, "a header text is not filled up by at most 7 ones");
        return count;
    }

    private static (int, int, int)[] MakeRanges()
    {
        var ranges = new (int Code, int Count, int Symbol)[LongestCode + 1];
        foreach (var length in Lengths)
            ranges[length].Count++;
        for (var length = 1; length <= LongestCode; length++)
        {
            var (code, count, symbol) = ranges[length - 1];
            ranges[length] = ((code + count) << 1, ranges[length].Count, symbol + count);
        }
        return ranges;
    }
}
