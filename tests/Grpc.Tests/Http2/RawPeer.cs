using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Grok1Cluster.Grpc.Http2;
using Grok1Cluster.Grpc.Http2.Hpack;
using Grok1Cluster.Grpc.Tests.Support;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Tests.Http2;

/// <summary>The other end of a connection, played frame by frame.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly Socket _socket;
    private readonly HpackDecoder _decoder = new(HeaderBlockReader.MaxListBytes);

    public RawPeer(Socket socket)
    {
        _socket = socket;
        _socket.NoDelay = true;
        _socket.ReceiveTimeout = (int)TestServer.Patience.TotalMilliseconds;
        _socket.SendTimeout = (int)TestServer.Patience.TotalMilliseconds;
    }

    public static byte[] Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    /// <summary>The headers of a call to the echo service.</summary>
    public static HeaderList EchoHead => new()
    {
        { ":method", "POST" }, { ":scheme", "http" }, { ":path", EchoService.Echo.Path }, { ":authority", "test" },
        { "content-type", "application/grpc" }, { "te", "trailers" },
    };

    public static RawPeer Connect(string address)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(IPEndPoint.Parse(address));
        return new RawPeer(socket);
    }

    /// <summary>A client that has sent its preface and settings.</summary>
    public static RawPeer Greet(string address)
    {
        var peer = Connect(address);
        peer.Send(Preface);
        peer.Send(Frame(0x4, 0, 0));
        return peer;
    }

    public static byte[] Frame(byte type, byte flags, int stream, params byte[] payload)
    {
        var frame = new byte[FrameHeader.Bytes + payload.Length];
        new FrameHeader(payload.Length, (FrameType)type, (FrameFlags)flags, stream).Write(frame);
        payload.CopyTo(frame, FrameHeader.Bytes);
        return frame;
    }

    public static byte[] Number(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    public static byte[] Block(HeaderList headers)
    {
        var block = new ByteBuffer();
        HpackEncoder.Append(block, headers);
        return block.Written.ToArray();
    }

    /// <summary>HEADERS that open a call on <paramref name="stream"/>.</summary>
    public static byte[] Call(int stream, bool end = false) => Frame(0x1, (byte)(0x4 | (end ? 1 : 0)), stream, Block(EchoHead));

    /// <summary>A whole message of <paramref name="length"/> bytes, which ends the request.</summary>
    public static byte[] Message(int stream, int length)
    {
        var payload = new byte[LengthPrefix.Bytes + length];
        BinaryPrimitives.WriteInt32BigEndian(payload.AsSpan(1), length);
        return Frame(0x0, 1, stream, payload);
    }

    public void Send(params byte[] bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[_socket.Send(bytes)..];
    }

    /// <summary>Ends the sending side.</summary>
    public void End() => _socket.Shutdown(SocketShutdown.Send);

    /// <summary>Sends as much as the other end takes; one that has hung up takes no more.</summary>
    public void TrySend(byte[] bytes)
    {
        try
        {
            Send(bytes);
        }
        catch (SocketException)
        {
        }
    }

    /// <summary>The next frame; null at the end of the connection.</summary>
    public (FrameHeader Header, byte[] Payload)? Read()
    {
        if (Receive(FrameHeader.Bytes) is not { } bytes)
            return null;
        var header = FrameHeader.Read(bytes);
        return Receive(header.Length) is { } payload ? (header, payload) : null;
    }

    /// <summary>The next frame of this kind.</summary>
    public (FrameHeader Header, byte[] Payload) ReadUntil(FrameType type)
    {
        while (Read() is { } frame)
            if (frame.Header.Type == type)
                return frame;
        throw new InvalidOperationException($"the connection ended without a {type} frame");
    }

    /// <summary>Decodes a block; to be called for each that comes.</summary>
    public HeaderList Decode(byte[] block)
    {
        var headers = new HeaderList();
        Assert.True(_decoder.TryDecode(block, headers));
        return headers;
    }

    /// <summary>Reads until the connection ends and returns the error that it ended with, or null if nothing was said.</summary>
    public uint? ReadGoAway()
    {
        uint? error = null;
        while (Read() is { } frame)
            if (frame.Header.Type == FrameType.GoAway)
                error = BinaryPrimitives.ReadUInt32BigEndian(frame.Payload.AsSpan(4));
        return error;
    }

    public void Dispose() => _socket.Dispose();

    private byte[]? Receive(int count)
    {
        var bytes = new byte[count];
        for (var have = 0; have < count;)
        {
            var received = _socket.Receive(bytes.AsSpan(have), SocketFlags.None, out var error);
            if (error is SocketError.TimedOut or SocketError.WouldBlock)
                throw new TimeoutException("the other end neither answers nor hangs up");
            if (received == 0)
                return null;
            have += received;
        }
        return bytes;
    }
}
