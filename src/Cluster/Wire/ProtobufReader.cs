using System.Buffers.Binary;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>Reads the fields of a protobuf message from its bytes, without making objects. What a peer wrote is not trusted.</summary>
/// <param name="bytes">One message.</param>
internal ref struct ProtobufReader(ReadOnlySpan<byte> bytes)
{
    private const int WireVarint = 0, WireFixed64 = 1, WireBytes = 2, WireFixed32 = 5;
    private ReadOnlySpan<byte> _left = bytes;
    private int _wireType;

    /// <summary>The number of the next field; 0 at the end.</summary>
    /// <exception cref="FormatException">Not protobuf.</exception>
    public int NextField()
    {
        if (_left.IsEmpty)
            return 0;
        var tag = ReadVarint();
        _wireType = (int)(tag & 7);
        return tag >> 3 is > 0 and <= 0x1FFFFFFF and var field ? (int)field : throw new FormatException("a field number is out of range");
    }

    public uint ReadUInt32() => (uint)ReadUInt64();

    public ulong ReadUInt64()
    {
        Expect(WireVarint);
        return ReadVarint();
    }

    public uint ReadFixed32()
    {
        Expect(WireFixed32);
        return BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));
    }

    public ulong ReadFixed64()
    {
        Expect(WireFixed64);
        return BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));
    }

    /// <summary>Bytes, a string or a message.</summary>
    public ReadOnlySpan<byte> ReadBytes()
    {
        Expect(WireBytes);
        return Take(ReadVarint());
    }

    /// <summary>Passes over a field that this version does not know.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case WireVarint:
                ReadVarint();
                break;
            case WireFixed64:
                Take(sizeof(ulong));
                break;
            case WireBytes:
                Take(ReadVarint());
                break;
            case WireFixed32:
                Take(sizeof(uint));
                break;
            default:
                throw new FormatException($"wire type {_wireType} is not supported");
        }
    }

    private readonly void Expect(int wireType)
    {
        if (_wireType != wireType)
            throw new FormatException($"a field has wire type {_wireType} instead of {wireType}");
    }

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)_left.Length)
            throw new FormatException("a field ends after its message");
        var taken = _left[..(int)count];
        _left = _left[(int)count..];
        return taken;
    }

    private ulong ReadVarint()
    {
        ulong value = 0;
        for (var i = 0; i < 10 && i < _left.Length; i++)
        {
            value |= (ulong)(_left[i] & 0x7F) << (7 * i);
            if (_left[i] >= 0x80)
                continue;
            _left = _left[(i + 1)..];
            return value;
        }
        throw new FormatException("a number does not end");
    }
}
