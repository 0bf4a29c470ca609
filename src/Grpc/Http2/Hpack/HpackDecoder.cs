using System.Text;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2.Hpack;

/// <summary>Reads header blocks (RFC 7541). One for each connection, as blocks build on each other.</summary>
/// <param name="maxListBytes">Largest list accepted, counted as SETTINGS_MAX_HEADER_LIST_SIZE does.</param>
internal sealed class HpackDecoder(int maxListBytes)
{
    /// <summary>Size of the dynamic table, which is the default of SETTINGS_HEADER_TABLE_SIZE.</summary>
    public const int TableBytes = 4096;

    private readonly DynamicTable _table = new(TableBytes);
    private byte[] _text = new byte[256];

    /// <summary>Reads a whole block. False if the list is larger than allowed: then the rest was read only to keep the table in step.</summary>
    /// <param name="block">All fragments of the block.</param>
    /// <param name="headers">What was read is appended, pseudo-headers as well.</param>
    /// <exception cref="Http2Exception">The block is malformed: COMPRESSION_ERROR.</exception>
    public bool TryDecode(ReadOnlySpan<byte> block, HeaderList headers)
    {
        var left = maxListBytes;
        var position = 0;
        var begun = false;
        while (position < block.Length)
        {
            var first = block[position];
            if ((first & 0xe0) == 0x20)
            {
                if (begun)
                    throw Malformed("the table is resized inside a header block");
                _table.Resize(HpackInteger.Read(block, ref position, 5));
                continue;
            }
            begun = true;
            var (name, value) = ReadField(block, ref position, first);
            left -= DynamicTable.SizeOf(name, value);
            if (left >= 0)
                headers.Add(name, value);
            else
                left = -1;
        }
        return left >= 0;
    }

    private (string Name, string Value) ReadField(ReadOnlySpan<byte> block, ref int position, byte first)
    {
        if (first >= 0x80)
            return At(HpackInteger.Read(block, ref position, 7));
        var indexed = first >= 0x40;
        var index = HpackInteger.Read(block, ref position, indexed ? 6 : 4);
        var name = index == 0 ? ReadText(block, ref position) : At(index).Name;
        var value = ReadText(block, ref position);
        if (indexed)
            _table.Add(name, value);
        return (name, value);
    }

    private (string Name, string Value) At(int index)
    {
        if (index == 0 || index > StaticTable.Count + _table.Count)
            throw Malformed($"a header block refers to entry {index} of {StaticTable.Count + _table.Count}");
        return index <= StaticTable.Count ? StaticTable.At(index) : _table.At(index - StaticTable.Count - 1);
    }

    private string ReadText(ReadOnlySpan<byte> block, ref int position)
    {
        if (position == block.Length)
            throw Malformed("a header block ends inside a header");
        var huffman = block[position] >= 0x80;
        var length = HpackInteger.Read(block, ref position, 7);
        if (length > block.Length - position)
            throw Malformed($"a header block of {block.Length} bytes holds a text of {length}");
        var bytes = block.Slice(position, length);
        position += length;
        if (!huffman)
            return Encoding.Latin1.GetString(bytes);
        var longest = HuffmanCode.LongestDecoded(length);
        if (_text.Length < longest)
            _text = new byte[longest];
        return Encoding.Latin1.GetString(_text, 0, HuffmanCode.Decode(bytes, _text));
    }

    private static Http2Exception Malformed(string what) => new(ErrorCode.CompressionError, what);
}
