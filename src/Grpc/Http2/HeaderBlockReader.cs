using System.Buffers.Binary;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Puts HEADERS and its CONTINUATION frames together and decodes them.</summary>
internal sealed class HeaderBlockReader(FrameReader reader)
{
    /// <summary>Largest header list accepted, in bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts.</summary>
    public const int MaxListBytes = 32 << 10;

    /// <summary>Largest block accepted as it travels; one that is too large to be read breaks the connection, as its tables are then out of step.</summary>
    private const int MaxBlockBytes = 64 << 10;

    private readonly HpackDecoder _decoder = new(MaxListBytes);
    private readonly ByteBuffer _block = new();

    /// <summary>Reads the block that begins with a HEADERS frame, whose header was taken. Null if the list is larger than allowed.</summary>
    /// <exception cref="Http2Exception">The frames or the block are malformed or too large.</exception>
    public HeaderList? Read(FrameHeader header, AbuseGuard guard)
    {
        _block.Clear();
        var streamId = header.StreamId;
        Append(FragmentOf(header, reader.Take(CheckedLength(header))));
        while (!header.Has(FrameFlags.EndHeaders))
        {
            if (!reader.TryReadHeader(out header))
                throw new IOException("the peer has closed the connection inside a header block");
            if (header.Type != FrameType.Continuation || header.StreamId != streamId)
                throw new Http2Exception(ErrorCode.ProtocolError, $"a {header.Type} frame stands inside a header block");
            guard.Charge("CONTINUATION");
            Append(reader.Take(CheckedLength(header)));
        }
        var headers = new HeaderList();
        return _decoder.TryDecode(_block.Written.Span, headers) ? headers : null;
    }

    private static int CheckedLength(FrameHeader header) => header.Length <= FrameReader.LargestControlPayload ? header.Length
        : throw new Http2Exception(ErrorCode.EnhanceYourCalm, $"a header block of {header.Length} bytes and more");

    private static ReadOnlySpan<byte> FragmentOf(FrameHeader header, ReadOnlySpan<byte> payload)
    {
        var padding = 0;
        if (header.Has(FrameFlags.Padded))
        {
            if (payload.IsEmpty)
                throw new Http2Exception(ErrorCode.FrameSizeError, "a padded HEADERS frame is empty");
            padding = payload[0];
            payload = payload[1..];
        }
        if (header.Has(FrameFlags.Priority))
        {
            if (payload.Length < 5)
                throw new Http2Exception(ErrorCode.FrameSizeError, "a HEADERS frame is too short for its priority");
            if ((BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue) == header.StreamId)
                throw new Http2Exception(ErrorCode.ProtocolError, "a stream depends on itself");
            payload = payload[5..];
        }
        if (padding > payload.Length)
            throw new Http2Exception(ErrorCode.ProtocolError, "the padding of a HEADERS frame is longer than the frame");
        return payload[..^padding];
    }

    private void Append(ReadOnlySpan<byte> fragment)
    {
        if (_block.Count + fragment.Length > MaxBlockBytes)
            throw new Http2Exception(ErrorCode.EnhanceYourCalm, $"a header block of more than {MaxBlockBytes} bytes");
        _block.Add(fragment);
    }
}
