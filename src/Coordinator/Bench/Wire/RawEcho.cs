using System.Net;
using System.Net.Sockets;

namespace Grok1Cluster.Coordinator.Bench.Wire;

/// <summary>What the wire itself takes: blocking sockets, a thread at each end of each, no protocol.</summary>
internal sealed class RawEcho : IDisposable
{
    /// <summary>What the threads of the far ends are called.</summary>
    public const string FarThreads = "raw-far";

    private readonly Socket[] _near;
    private readonly Socket[] _far;
    private readonly byte[] _message;
    private readonly ManualResetEventSlim _gathered = new(false, spinCount: 0);
    private int _left;

    /// <param name="unixPath">Path of a Unix socket, or null for TCP on loopback.</param>
    /// <param name="length">Bytes of a message.</param>
    /// <param name="fanOut">Peers. The answer of one is read by the caller, those of several by a thread for each, and the last wakes the caller.</param>
    public RawEcho(string? unixPath, int length, int fanOut)
    {
        _message = new byte[length];
        EndPoint where = unixPath is null ? new IPEndPoint(IPAddress.Loopback, 0) : new UnixDomainSocketEndPoint(unixPath);
        var protocol = unixPath is null ? ProtocolType.Tcp : ProtocolType.Unspecified;
        using var listener = new Socket(where.AddressFamily, SocketType.Stream, protocol);
        listener.Bind(where);
        listener.Listen(fanOut);
        (_near, _far) = (new Socket[fanOut], new Socket[fanOut]);
        for (var peer = 0; peer < fanOut; peer++)
        {
            _near[peer] = new Socket(where.AddressFamily, SocketType.Stream, protocol);
            _near[peer].Connect(listener.LocalEndPoint!);
            _far[peer] = listener.Accept();
        }
        foreach (var socket in _near.Concat(_far))
            if (unixPath is null)
                socket.NoDelay = true;
            else
                socket.SendBufferSize = socket.ReceiveBufferSize = 1 << 20;
        foreach (var socket in _far)
            Start(() => Answer(socket), FarThreads);
        foreach (var socket in fanOut > 1 ? _near : [])
            Start(() => Gather(socket), "raw-near");
    }

    /// <summary>Sends a message to every peer and waits until all of it has come back from each.</summary>
    public void RoundTrip()
    {
        _gathered.Reset();
        Volatile.Write(ref _left, _near.Length);
        foreach (var socket in _near)
            Send(socket, _message);
        if (_near.Length == 1)
            Receive(_near[0], _message);
        else
            _gathered.Wait();
    }

    public void Dispose()
    {
        foreach (var socket in _near.Concat(_far))
            socket.Dispose();
        _gathered.Dispose();
    }

    private static void Start(Action run, string name) => new Thread(() => run()) { IsBackground = true, Name = name }.Start();

    private void Answer(Socket socket)
    {
        var message = new byte[_message.Length];
        try
        {
            while (Receive(socket, message))
                Send(socket, message);
        }
        catch (Exception closed) when (closed is ObjectDisposedException or SocketException)
        {
        }
    }

    private void Gather(Socket socket)
    {
        var message = new byte[_message.Length];
        try
        {
            while (Receive(socket, message))
                if (Interlocked.Decrement(ref _left) == 0)
                    _gathered.Set();
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
