using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;

namespace Grok1Cluster.Cluster.Wire;

/// <summary>Writes the fields of a protobuf message as the generated classes do: in order of their numbers, defaults left out.</summary>
/// <param name="target">At least as many bytes as the sizes of the fields add up to.</param>
internal ref struct ProtobufWriter(Span<byte> target)
{
    private readonly Span<byte> _target = target;

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    public static int VarintSize(ulong value) => (BitOperations.Log2(value | 1) + 7) / 7;

    /// <summary>Bytes of a number's field; 0 for the default.</summary>
    public static int NumberSize(int field, ulong value) => value == 0 ? 0 : TagSize(field) + VarintSize(value);

    public static int Fixed32Size(int field, uint value) => value == 0 ? 0 : TagSize(field) + sizeof(uint);

    public static int Fixed64Size(int field, ulong value) => value == 0 ? 0 : TagSize(field) + sizeof(ulong);

    /// <summary>Bytes of the field of bytes, a string or a message of a length.</summary>
    public static int BytesSize(int field, int length) => TagSize(field) + VarintSize((ulong)length) + length;

    public void Number(int field, ulong value)
    {
        if (value == 0)
            return;
        Varint((ulong)field << 3);
        Varint(value);
    }

    public void Fixed32(int field, uint value)
    {
        if (value == 0)
            return;
        Varint((ulong)field << 3 | 5);
        BinaryPrimitives.WriteUInt32LittleEndian(_target[Length..], value);
        Length += sizeof(uint);
    }

    public void Fixed64(int field, ulong value)
    {
        if (value == 0)
            return;
        Varint((ulong)field << 3 | 1);
        BinaryPrimitives.WriteUInt64LittleEndian(_target[Length..], value);
        Length += sizeof(ulong);
    }

    /// <summary>Tag and length of bytes, a string or a message; its bytes follow.</summary>
    public void Prefix(int field, int length)
    {
        Varint((ulong)field << 3 | 2);
        Varint((ulong)length);
    }

    public void Raw(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_target[Length..]);
        Length += bytes.Length;
    }

    private static int TagSize(int field) => VarintSize((ulong)field << 3);

    private void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            _target[Length++] = (byte)(value | 0x80);
        _target[Length++] = (byte)value;
    }
}
