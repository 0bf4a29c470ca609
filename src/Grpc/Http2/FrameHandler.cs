using System.Buffers.Binary;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>What is done with each kind of frame (RFC 9113, section 6). Used by the connection's thread.</summary>
internal sealed class FrameHandler(Http2Connection connection, bool isServer)
{
    private readonly FrameReader _reader = connection.Reader;
    private readonly AbuseGuard _guard = connection.Guard;
    private readonly HeaderBlockReader _headers = new(connection.Reader);
    private bool _settled;

    /// <summary>Reads the rest of a frame and acts on it. A fault that costs one stream only resets that stream.</summary>
    /// <exception cref="Http2Exception">The connection must end.</exception>
    public void Handle(FrameHeader header)
    {
        if (!_settled && (header.Type != FrameType.Settings || header.Has(FrameFlags.Ack)))
            throw Fault(ErrorCode.ProtocolError, $"the connection begins with a {header.Type} frame instead of SETTINGS");
        if (header.Length > connection.Limits.MaxFrame)
            throw Fault(ErrorCode.FrameSizeError, $"a {header.Type} frame of {header.Length} bytes");
        try
        {
            HandleKnown(header);
        }
        catch (StreamFaultException fault)
        {
            _guard.Charge("faults of streams");
            if (connection.Streams.Find(fault.StreamId) is { } stream)
                connection.Break(stream, fault.Code, fault);
            else
            {
                connection.Streams.Refuse(fault.StreamId);
                connection.Sender.Send(FrameType.RstStream, fault.StreamId, (uint)fault.Code);
            }
            connection.OnStreamEnded();
        }
    }

    private void HandleKnown(FrameHeader header)
    {
        switch (header.Type)
        {
            case FrameType.Data:
                OnData(header);
                break;
            case FrameType.Headers:
                CheckStream(header);
                var headers = _headers.Read(header, _guard);
                connection.OnHeaders(header.StreamId, headers, header.Has(FrameFlags.EndStream));
                break;
            case FrameType.RstStream:
                OnReset(header, Number(header));
                break;
            case FrameType.Settings:
                OnSettings(header);
                break;
            case FrameType.Ping:
                OnPing(header);
                break;
            case FrameType.GoAway:
                OnGoAway(header);
                break;
            case FrameType.WindowUpdate:
                OnWindowUpdate(header, (int)(Number(header) & int.MaxValue));
                break;
            case FrameType.Priority:
                CheckStream(header);
                _reader.Skip(header.Length);
                _guard.Charge("PRIORITY");
                if (header.Length != 5)
                    throw new StreamFaultException(header.StreamId, ErrorCode.FrameSizeError, $"a PRIORITY frame of {header.Length} bytes");
                break;
            case FrameType.PushPromise:
                throw Fault(ErrorCode.ProtocolError, "the peer pushes although it must not");
            case FrameType.Continuation:
                throw Fault(ErrorCode.ProtocolError, "a CONTINUATION frame outside a header block");
            default:
                _reader.Skip(header.Length);
                _guard.Charge("unknown frames");
                break;
        }
    }

    private void OnData(FrameHeader header)
    {
        CheckStream(header);
        if (!connection.TryTakeWindow(header.Length))
            throw Fault(ErrorCode.FlowControlError, "more DATA than the connection's window allows");
        var length = header.Length;
        var padding = 0;
        if (header.Has(FrameFlags.Padded))
        {
            if (length == 0)
                throw Fault(ErrorCode.FrameSizeError, "a padded DATA frame is empty");
            padding = _reader.Take(1)[0];
            length -= 1 + padding;
            if (length < 0)
                throw Fault(ErrorCode.ProtocolError, "the padding of a DATA frame is longer than the frame");
        }
        if (length == 0 && !header.Has(FrameFlags.EndStream))
            _guard.Charge("empty DATA");
        if (Receiver(header) is not { } stream)
        {
            _reader.Skip(length + padding);
            connection.CreditConnection(header.Length);
            _guard.Charge("DATA on closed streams");
            return;
        }
        if (header.Length > length)
            connection.Credit(stream, header.Length - length);
        _reader.ReadInto(stream.Input, length);
        _reader.Skip(padding);
        if (header.Has(FrameFlags.EndStream))
            connection.EndRemote(stream);
    }

    /// <summary>The stream that takes a DATA frame; null if it was reset and the frame is to be forgotten.</summary>
    private Http2Stream? Receiver(FrameHeader header)
    {
        if (connection.Streams.Find(header.StreamId) is not { } stream)
        {
            CheckUsed(header);
            return connection.Streams.WasReset(header.StreamId) ? null
                : throw Fault(ErrorCode.StreamClosed, $"DATA on stream {header.StreamId}, which has ended");
        }
        var fault = stream.RemoteEnded ? ErrorCode.StreamClosed : stream.Window.TryTake(header.Length) ? ErrorCode.NoError : ErrorCode.FlowControlError;
        if (fault == ErrorCode.NoError)
            return stream;
        connection.Break(stream, fault, new Http2Exception(fault, "the peer sends DATA that it must not send"));
        return null;
    }

    private void OnReset(FrameHeader header, uint code)
    {
        CheckStream(header);
        CheckUsed(header);
        _guard.Charge("RST_STREAM");
        if (connection.Streams.Find(header.StreamId) is not { } stream)
            return;
        connection.Streams.Remove(stream);
        connection.Break(stream, null, new Http2Exception((ErrorCode)code, $"the peer has reset the stream with error {code:x}"));
        connection.OnStreamEnded();
    }

    private void OnSettings(FrameHeader header)
    {
        CheckConnection(header);
        _guard.Charge("SETTINGS");
        if (header.Length % PeerSettings.EntryBytes != 0 || (header.Has(FrameFlags.Ack) && header.Length != 0))
            throw Fault(ErrorCode.FrameSizeError, $"a SETTINGS frame of {header.Length} bytes");
        if (header.Has(FrameFlags.Ack))
            return;
        var peer = connection.Peer;
        if (!_settled)
            peer.EndDefaults();
        _settled = true;
        peer.Apply(_reader.Take(CheckedLength(header)), fromServer: !isServer);
        connection.Sender.Apply(peer);
        connection.OnSettings();
    }

    private void OnPing(FrameHeader header)
    {
        CheckConnection(header);
        if (header.Length != 8)
            throw Fault(ErrorCode.FrameSizeError, $"a PING frame of {header.Length} bytes");
        var payload = _reader.Take(8);
        _guard.Charge("PING");
        if (!header.Has(FrameFlags.Ack))
            connection.Sender.Send(FrameType.Ping, FrameFlags.Ack, 0, payload);
    }

    private void OnGoAway(FrameHeader header)
    {
        CheckConnection(header);
        if (header.Length < 8)
            throw Fault(ErrorCode.FrameSizeError, $"a GOAWAY frame of {header.Length} bytes");
        var payload = _reader.Take(8);
        var last = BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue;
        var code = (ErrorCode)BinaryPrimitives.ReadUInt32BigEndian(payload[4..]);
        _reader.Skip(header.Length - 8);
        _guard.Charge("GOAWAY");
        connection.OnGoAway(last, code);
    }

    private void OnWindowUpdate(FrameHeader header, int bytes)
    {
        if (header.StreamId == 0)
        {
            if (bytes == 0)
                throw Fault(ErrorCode.ProtocolError, "a WINDOW_UPDATE frame grants nothing");
            if (!connection.Sender.TryGrant(bytes))
                throw Fault(ErrorCode.FlowControlError, "the connection's window becomes too large");
            return;
        }
        CheckUsed(header);
        if (connection.Streams.Find(header.StreamId) is not { } stream)
            return;
        if (bytes == 0)
            throw new StreamFaultException(header.StreamId, ErrorCode.ProtocolError, "a WINDOW_UPDATE frame grants nothing");
        if (!connection.Sender.TryGrant(stream.Output, bytes))
            throw new StreamFaultException(header.StreamId, ErrorCode.FlowControlError, "the stream's window becomes too large");
    }

    /// <summary>The four bytes of RST_STREAM or WINDOW_UPDATE.</summary>
    private uint Number(FrameHeader header) => header.Length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(_reader.Take(4))
        : throw Fault(ErrorCode.FrameSizeError, $"a {header.Type} frame of {header.Length} bytes");

    private static int CheckedLength(FrameHeader header) => header.Length <= FrameReader.LargestControlPayload ? header.Length
        : throw Fault(ErrorCode.EnhanceYourCalm, $"a {header.Type} frame of {header.Length} bytes");

    private static void CheckStream(FrameHeader header)
    {
        if (header.StreamId == 0)
            throw Fault(ErrorCode.ProtocolError, $"a {header.Type} frame without a stream");
    }

    private static void CheckConnection(FrameHeader header)
    {
        if (header.StreamId != 0)
            throw Fault(ErrorCode.ProtocolError, $"a {header.Type} frame on a stream");
    }

    /// <summary>Streams are opened by clients, which have odd numbers, in rising order; nothing may come on one before.</summary>
    private void CheckUsed(FrameHeader header)
    {
        if (header.StreamId % 2 == 0 || header.StreamId > connection.Streams.Last)
            throw Fault(ErrorCode.ProtocolError, $"a {header.Type} frame on stream {header.StreamId}, which was not opened");
    }

    private static Http2Exception Fault(ErrorCode code, string message) => new(code, message);
}
