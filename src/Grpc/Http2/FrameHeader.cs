using System.Buffers.Binary;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Kinds of frames (RFC 9113, section 6). Any other number is a kind to be ignored.</summary>
internal enum FrameType : byte
{
    Data = 0x0,
    Headers = 0x1,
    Priority = 0x2,
    RstStream = 0x3,
    Settings = 0x4,
    PushPromise = 0x5,
    Ping = 0x6,
    GoAway = 0x7,
    WindowUpdate = 0x8,
    Continuation = 0x9,
}

/// <summary>Flags of frames; what a bit means depends on the kind.</summary>
[Flags]
internal enum FrameFlags : byte
{
    None = 0,
    Ack = 0x1,
    EndStream = 0x1,
    EndHeaders = 0x4,
    Padded = 0x8,
    Priority = 0x20,
}

/// <summary>What stands before every frame: 24 bits length, 8 bits kind, 8 bits flags, 1 reserved bit, 31 bits stream, all big-endian.</summary>
internal readonly record struct FrameHeader(int Length, FrameType Type, FrameFlags Flags, int StreamId)
{
    /// <summary>Bytes of a header.</summary>
    public const int Bytes = 9;

    /// <summary>Largest payload that 24 bits can announce.</summary>
    public const int LargestPayload = (1 << 24) - 1;

    /// <summary>Largest payload that every peer takes.</summary>
    public const int DefaultMaxPayload = 1 << 14;

    /// <summary>Whether <paramref name="flag"/> is set.</summary>
    public bool Has(FrameFlags flag) => (Flags & flag) != 0;

    /// <param name="from">At least <see cref="Bytes"/>.</param>
    public static FrameHeader Read(ReadOnlySpan<byte> from) => new(
        from[0] << 16 | from[1] << 8 | from[2],
        (FrameType)from[3],
        (FrameFlags)from[4],
        BinaryPrimitives.ReadInt32BigEndian(from[5..]) & int.MaxValue);

    /// <param name="to">At least <see cref="Bytes"/>.</param>
    public void Write(Span<byte> to)
    {
        to[0] = (byte)(Length >> 16);
        to[1] = (byte)(Length >> 8);
        to[2] = (byte)Length;
        to[3] = (byte)Type;
        to[4] = (byte)Flags;
        BinaryPrimitives.WriteInt32BigEndian(to[5..], StreamId);
    }
}
