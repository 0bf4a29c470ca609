using System.Buffers.Binary;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>Parameters of SETTINGS (RFC 9113, section 6.5.2).</summary>
internal enum SettingId : ushort
{
    HeaderTableSize = 0x1,
    EnablePush = 0x2,
    MaxConcurrentStreams = 0x3,
    InitialWindowSize = 0x4,
    MaxFrameSize = 0x5,
    MaxHeaderListSize = 0x6,
}

/// <summary>What the peer allows us, as its SETTINGS say.</summary>
internal sealed class PeerSettings
{
    /// <summary>Bytes of one parameter: 16 bits id, 32 bits value.</summary>
    public const int EntryBytes = 6;

    /// <summary>Window of a new stream until the peer says otherwise.</summary>
    public const int DefaultWindow = 65_535;

    /// <summary>Streams that we may have open. Until the peer has spoken, as many as the specification advises it to allow.</summary>
    public int MaxStreams { get; private set; } = 100;

    /// <summary>Bytes that we may send on a new stream.</summary>
    public int InitialWindow { get; private set; } = DefaultWindow;

    /// <summary>Largest frame that we may send.</summary>
    public int MaxFrame { get; private set; } = FrameHeader.DefaultMaxPayload;

    /// <summary>Takes over a SETTINGS payload.</summary>
    /// <param name="payload">Whole entries; the values that are not used are checked as well.</param>
    /// <param name="fromServer">Whether a server sent it, which must not allow push.</param>
    /// <exception cref="Http2Exception">A value is out of its range.</exception>
    public void Apply(ReadOnlySpan<byte> payload, bool fromServer)
    {
        for (; payload.Length >= EntryBytes; payload = payload[EntryBytes..])
        {
            var id = (SettingId)BinaryPrimitives.ReadUInt16BigEndian(payload);
            var value = BinaryPrimitives.ReadUInt32BigEndian(payload[2..]);
            switch (id)
            {
                case SettingId.EnablePush when value > 1 || (fromServer && value != 0):
                    throw new Http2Exception(ErrorCode.ProtocolError, $"SETTINGS_ENABLE_PUSH is {value}");
                case SettingId.MaxConcurrentStreams:
                    MaxStreams = (int)Math.Min(value, int.MaxValue);
                    break;
                case SettingId.InitialWindowSize:
                    InitialWindow = value <= int.MaxValue ? (int)value
                        : throw new Http2Exception(ErrorCode.FlowControlError, $"SETTINGS_INITIAL_WINDOW_SIZE is {value}");
                    break;
                case SettingId.MaxFrameSize:
                    MaxFrame = value is >= FrameHeader.DefaultMaxPayload and <= FrameHeader.LargestPayload ? (int)value
                        : throw new Http2Exception(ErrorCode.ProtocolError, $"SETTINGS_MAX_FRAME_SIZE is {value}");
                    break;
            }
        }
    }

    /// <summary>The peer has sent its first SETTINGS: what it did not limit is not limited.</summary>
    public void EndDefaults() => MaxStreams = int.MaxValue;
}
