using System.Buffers.Binary;

namespace Grok1Cluster.Model.Tokenizer;

/// <summary>How a protobuf field is written; groups (3 and 4) do not occur in the files read here.</summary>
internal enum WireType
{
    Varint = 0,
    Fixed64 = 1,
    LengthDelimited = 2,
    Fixed32 = 5,
}

/// <summary>
/// Walks the fields of one protobuf message without copying. Every length is checked against what is left before it is
/// used; whatever does not fit throws a <see cref="ModelException"/> that names the file and the message.
/// </summary>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message, string messageName, string file)
{
    private ReadOnlySpan<byte> _rest = message;

    /// <summary>The number of the field read last.</summary>
    public int Field { get; private set; }

    private WireType _wireType;

    /// <summary>Moves to the next field; its value must then be read or skipped.</summary>
    /// <returns>False at the end of the message.</returns>
    public bool NextField()
    {
        if (_rest.IsEmpty)
            return false;
        var tag = ReadVarint();
        Field = tag >> 3 is > 0 and <= 536_870_911 ? (int)(tag >> 3) : throw Fault($"a field numbered {tag >> 3}");
        _wireType = (WireType)(tag & 7);
        if (_wireType is not (WireType.Varint or WireType.Fixed64 or WireType.LengthDelimited or WireType.Fixed32))
            throw Fault($"field {Field} with wire type {(int)_wireType}");
        return true;
    }

    public bool ReadBool() => ReadInt64() != 0;

    /// <summary>An enum or integer field.</summary>
    public long ReadInt64()
    {
        Expect(WireType.Varint);
        return (long)ReadVarint();
    }

    public float ReadFloat()
    {
        Expect(WireType.Fixed32);
        return BinaryPrimitives.ReadSingleLittleEndian(Take(4));
    }

    /// <summary>A string, bytes or embedded message; a view into the file.</summary>
    public ReadOnlySpan<byte> ReadBytes()
    {
        Expect(WireType.LengthDelimited);
        return Take(ReadVarint());
    }

    /// <summary>Passes over a field that is not needed.</summary>
    public void Skip()
    {
        switch (_wireType)
        {
            case WireType.Varint: ReadVarint(); break;
            case WireType.Fixed64: Take(8); break;
            case WireType.Fixed32: Take(4); break;
            default: Take(ReadVarint()); break;
        }
    }

    private ulong ReadVarint()
    {
        ulong value = 0;
        for (var i = 0; i < 10; i++)
        {
            if (i >= _rest.Length)
                throw Fault("an end in the middle of a number");
            value |= (ulong)(_rest[i] & 0x7F) << (7 * i);
            if (_rest[i] < 0x80)
            {
                _rest = _rest[(i + 1)..];
                return value;
            }
        }
        throw Fault("a number of more than 10 bytes");
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)_rest.Length)
            throw Fault($"field {Field} of {length} bytes where {_rest.Length} are left");
        var taken = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return taken;
    }

    private readonly void Expect(WireType wireType)
    {
        if (_wireType != wireType)
            throw Fault($"field {Field} with wire type {(int)_wireType} in place of {(int)wireType}");
    }

    private readonly ModelException Fault(string found) =>
        new($"{file}: not a SentencePiece model, or a damaged one: {messageName} holds {found}. Get the file again.");
}
