using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace Grok1Cluster.Model.Checkpoints.Pickle;

/// <summary>
/// A cursor over a mapped pickle. No read passes the end of the file or of the frame it starts in, and every length is
/// checked before it is used; what breaks a rule is a <see cref="ModelException"/> with file and position.
/// </summary>
internal sealed unsafe class PickleInput(byte* start, long length, string file)
{
    /// <summary>Longest name or key in a tensor file, with much room.</summary>
    private const int MaxTextBytes = 256;

    private long _frameEnd = -1;

    public long Position { get; private set; }

    public bool AtEnd => Position == length;

    private bool InFrame => _frameEnd >= 0;

    /// <summary>The next opcode; leaves a frame that ends here.</summary>
    public PickleOpcode ReadOpcode()
    {
        if (Position == _frameEnd)
            _frameEnd = -1;
        return (PickleOpcode)ReadByte();
    }

    /// <summary>Enters a frame of a length that is read here.</summary>
    public void EnterFrame()
    {
        if (InFrame)
            throw Refuse("a FRAME inside a FRAME");
        var bytes = ReadLength64();
        if (bytes > length - Position)
            throw PastEnd($"a FRAME of {bytes} bytes");
        _frameEnd = Position + bytes;
    }

    public byte ReadByte() => Take(1)[0];

    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    public int ReadInt32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(4));

    /// <summary>An unsigned length of 8 bytes that fits a signed one.</summary>
    public long ReadLength64()
    {
        var bytes = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
        return bytes <= long.MaxValue ? (long)bytes : throw PastEnd($"a length of {bytes} bytes");
    }

    /// <summary>A two's complement integer of <paramref name="bytes"/> bytes, little-endian; 0 bytes are the number 0.</summary>
    public long ReadInteger(int bytes)
    {
        if (bytes > sizeof(long))
            throw Refuse($"an integer of {bytes} bytes");
        var value = 0L;
        var source = Take(bytes);
        for (var i = bytes - 1; i >= 0; i--)
            value = i == bytes - 1 ? (sbyte)source[i] : value << 8 | source[i];
        return value;
    }

    public string ReadText(long bytes)
    {
        if (bytes > MaxTextBytes)
            throw Refuse($"a text of {bytes} bytes");
        var source = Take((int)bytes);
        return Utf8.IsValid(source) ? Encoding.UTF8.GetString(source) : throw Refuse("a text that is not UTF-8");
    }

    /// <summary>A text up to a line feed, which is passed over.</summary>
    public string ReadLine()
    {
        var end = Position;
        while (end < Limit && start[end] != '\n' && end - Position <= MaxTextBytes)
            end++;
        var text = ReadText(end - Position);
        ReadByte();
        return text;
    }

    /// <summary>Passes over <paramref name="bytes"/> bytes without looking at them and says where they are.</summary>
    public PickledBytes SkipBytes(long bytes)
    {
        if (bytes > Limit - Position)
            throw PastEnd($"a byte string of {bytes} bytes");
        var skipped = new PickledBytes(Position, bytes);
        Position += bytes;
        return skipped;
    }

    /// <summary>The exception for something this file may not contain.</summary>
    public ModelException Refuse(string what) =>
        new($"{file}: not a tensor of ckpt-0: {what} (at byte {Position}); fetch the file again from where it came from");

    private long Limit => InFrame ? _frameEnd : length;

    private ReadOnlySpan<byte> Take(int bytes)
    {
        if (bytes > Limit - Position)
            throw PastEnd(bytes == 1 ? "the next opcode or argument" : $"an argument of {bytes} bytes");
        var taken = new ReadOnlySpan<byte>(start + Position, bytes);
        Position += bytes;
        return taken;
    }

    private ModelException PastEnd(string what) =>
        new($"{file}: {what} at byte {Position} goes past the end of the {(InFrame ? "frame" : "file")} at byte {Limit}; the file is cut short or damaged, fetch it again from where it came from");
}
