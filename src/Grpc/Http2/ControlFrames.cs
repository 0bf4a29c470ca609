using System.Buffers.Binary;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Assembles all frames but bodies, and keeps them in order until they are taken to be sent. Guarded by the sender's lock.</summary>
internal sealed class ControlFrames
{
    private ByteBuffer _waiting = new();
    private ByteBuffer _taken = new();
    private bool _tableTold;

    /// <summary>Bytes that wait to be taken.</summary>
    public int Count => _waiting.Count;

    /// <summary>Largest payload that the peer takes, in bytes; a header block that is larger is cut.</summary>
    public int MaxFrame { get; set; } = FrameHeader.DefaultMaxPayload;

    /// <summary>Takes everything that waits, to be sent in one piece; valid until the next take.</summary>
    public ReadOnlyMemory<byte> Take()
    {
        (_waiting, _taken) = (_taken, _waiting);
        _waiting.Clear();
        return _taken.Written;
    }

    /// <summary>Appends bytes that are no frame: what a client sends first.</summary>
    public void AddPreface(ReadOnlySpan<byte> preface) => _waiting.Add(preface);

    /// <summary>Appends a frame and returns its payload, to be filled.</summary>
    public Span<byte> Add(FrameType type, FrameFlags flags, int streamId, int length)
    {
        new FrameHeader(length, type, flags, streamId).Write(_waiting.Take(FrameHeader.Bytes));
        return _waiting.Take(length);
    }

    /// <summary>Appends SETTINGS, in their order.</summary>
    public void AddSettings(IReadOnlyList<(SettingId Id, uint Value)> settings)
    {
        var payload = Add(FrameType.Settings, FrameFlags.None, 0, settings.Count * PeerSettings.EntryBytes);
        foreach (var (id, value) in settings)
        {
            BinaryPrimitives.WriteUInt16BigEndian(payload, (ushort)id);
            BinaryPrimitives.WriteUInt32BigEndian(payload[2..], value);
            payload = payload[PeerSettings.EntryBytes..];
        }
    }

    /// <summary>Appends WINDOW_UPDATE.</summary>
    public void AddWindowUpdate(int streamId, int bytes) =>
        BinaryPrimitives.WriteInt32BigEndian(Add(FrameType.WindowUpdate, FrameFlags.None, streamId, 4), bytes);

    /// <summary>Appends RST_STREAM.</summary>
    public void AddReset(int streamId, ErrorCode code) =>
        BinaryPrimitives.WriteUInt32BigEndian(Add(FrameType.RstStream, FrameFlags.None, streamId, 4), (uint)code);

    /// <summary>Appends a header block: HEADERS, and CONTINUATION where it is larger than a frame may be.</summary>
    public void AddHeaders(int streamId, HeaderList headers, FrameFlags flags)
    {
        var start = _waiting.Count;
        Add(FrameType.Headers, flags | FrameFlags.EndHeaders, streamId, 0);
        if (!_tableTold)
            HpackEncoder.AppendEmptyTable(_waiting);
        _tableTold = true;
        HpackEncoder.Append(_waiting, headers);
        var length = _waiting.Count - start - FrameHeader.Bytes;
        var first = Math.Min(length, MaxFrame);
        var flag = first == length ? FrameFlags.EndHeaders : FrameFlags.None;
        new FrameHeader(first, FrameType.Headers, flags | flag, streamId).Write(_waiting.From(start));
        if (first < length)
            Continue(streamId, start + FrameHeader.Bytes + first);
    }

    /// <summary>Cuts what follows <paramref name="start"/> into CONTINUATION frames.</summary>
    private void Continue(int streamId, int start)
    {
        var rest = _waiting.From(start).ToArray();
        _waiting.Truncate(start);
        for (var sent = 0; sent < rest.Length;)
        {
            var part = Math.Min(rest.Length - sent, MaxFrame);
            var flag = sent + part == rest.Length ? FrameFlags.EndHeaders : FrameFlags.None;
            rest.AsSpan(sent, part).CopyTo(Add(FrameType.Continuation, flag, streamId, part));
            sent += part;
        }
    }
}
