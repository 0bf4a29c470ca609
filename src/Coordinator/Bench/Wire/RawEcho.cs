using System.Net;
using System.Net.Sockets;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>What the wire itself takes: blocking sockets, a thread at each end, no protocol.</summary>
internal sealed class RawEcho : IDisposable
{
    private readonly Socket _client;
    private readonly Socket _server;
    private readonly byte[] _message;

    /// <param name="unixPath">Path of a Unix socket, or null for TCP on loopback.</param>
    /// <param name="length">Bytes of a message.</param>
    public RawEcho(string? unixPath, int length)
    {
        _message = new byte[length];
        EndPoint where = unixPath is null ? new IPEndPoint(IPAddress.Loopback, 0) : new UnixDomainSocketEndPoint(unixPath);
        var protocol = unixPath is null ? ProtocolType.Tcp : ProtocolType.Unspecified;
        using var listener = new Socket(where.AddressFamily, SocketType.Stream, protocol);
        listener.Bind(where);
        listener.Listen();
        _client = new Socket(where.AddressFamily, SocketType.Stream, protocol);
        _client.Connect(listener.LocalEndPoint!);
        _server = listener.Accept();
        foreach (var socket in new[] { _client, _server })
            if (unixPath is null)
                socket.NoDelay = true;
            else
                socket.SendBufferSize = socket.ReceiveBufferSize = 1 << 20;
        new Thread(Answer) { IsBackground = true }.Start();
    }

    /// <summary>Sends a message and waits until all of it has come back.</summary>
    public void RoundTrip()
    {
        Send(_client, _message);
        Receive(_client, _message);
    }

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
    }

    private void Answer()
    {
        var message = new byte[_message.Length];
        try
        {
            while (Receive(_server, message))
                Send(_server, message);
        }
        catch (ObjectDisposedException)
        {
        }
    }

    private static void Send(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[socket.Send(bytes)..];
    }

    private static bool Receive(Socket socket, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            var received = socket.Receive(bytes, SocketFlags.None, out var error);
            if (received == 0 || error != SocketError.Success)
                return false;
            bytes = bytes[received..];
        }
        return true;
    }
}
