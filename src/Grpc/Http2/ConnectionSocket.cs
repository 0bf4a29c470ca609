using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>
/// The bytes of a connection. One thread receives and waits in doing so; sending never waits, because it is done by whichever
/// thread has something to send, the receiving one included: two peers that both wait for the other to receive would wait for ever.
/// </summary>
internal sealed class ConnectionSocket : IDisposable
{
    /// <summary>Buffers that hold a large message of the activation streams. The system may allow less; TCP chooses for itself.</summary>
    private const int UnixSocketBuffer = 1 << 20;

    /// <summary>Bytes that go through TLS at once, so that what it has encrypted but the socket not taken stays small.</summary>
    private const int TlsChunk = 256 << 10;

    private readonly Socket _socket;
    private readonly long _spinTicks;
    private readonly SafeSocketHandle? _direct;
    private SslStream? _tls;
    private ByteBuffer? _encrypted;
    private int _encryptedSent;
    private volatile bool _hasReceived;

    /// <param name="socket">Connected. It is owned and closed by this object.</param>
    /// <param name="spin">How long to ask the system again and again for bytes before sleeping until they come.</param>
    public ConnectionSocket(Socket socket, TimeSpan spin)
    {
        _socket = socket;
        _spinTicks = (long)(spin.TotalSeconds * Stopwatch.Frequency);
        _direct = LinuxSocket.Prepare(socket);
        if (_direct is null)
            socket.Blocking = false;
        if (socket.AddressFamily == AddressFamily.Unix)
            socket.SendBufferSize = socket.ReceiveBufferSize = UnixSocketBuffer;
        else
            socket.NoDelay = true;
    }

    /// <summary>Who is at the other end, as gRPC writes it.</summary>
    public string Peer => _socket.RemoteEndPoint switch
    {
        System.Net.IPEndPoint { Address.IsIPv4MappedToIPv6: true } ip => $"ipv4:{ip.Address.MapToIPv4()}:{ip.Port}",
        System.Net.IPEndPoint { AddressFamily: AddressFamily.InterNetworkV6 } ip => $"ipv6:[{ip.Address}]:{ip.Port}",
        System.Net.IPEndPoint ip => $"ipv4:{ip.Address}:{ip.Port}",
        _ => "unix:",
    };

    /// <summary>The address at the other end without its port; none of a Unix socket.</summary>
    public System.Net.IPAddress PeerAddress => (_socket.RemoteEndPoint as System.Net.IPEndPoint)?.Address ?? System.Net.IPAddress.None;

    /// <summary>The certificate that the peer has proved to own; null in clear, or where it showed none.</summary>
    public X509Certificate2? PeerCertificate { get; private set; }

    /// <summary>Whether TLS has been done.</summary>
    public bool IsEncrypted => _tls is not null;

    /// <summary>Whether anything has come at all.</summary>
    public bool HasReceived => _hasReceived;

    /// <summary>Does the server's part of TLS. Must come before anything else.</summary>
    /// <exception cref="System.Security.Authentication.AuthenticationException">The peers do not agree, or the client does not speak HTTP/2.</exception>
    public void Authenticate(SslServerAuthenticationOptions options) => Authenticate(tls => tls.AuthenticateAsServer(options));

    /// <summary>Does the client's part of TLS. Must come before anything else.</summary>
    /// <exception cref="System.Security.Authentication.AuthenticationException">The peers do not agree, or the server does not speak HTTP/2.</exception>
    public void Authenticate(SslClientAuthenticationOptions options) => Authenticate(tls => tls.AuthenticateAsClient(options));

    /// <summary>Waits for bytes; 0 at the end of the connection.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public int Receive(Span<byte> to) => _tls?.Read(to) ?? ReceiveRaw(to);

    /// <summary>Takes as many bytes as it can without waiting; 0 where <see cref="WaitUntilWritable"/> must come first.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public int Send(ReadOnlySpan<byte> from)
    {
        if (_tls is null)
            return SendRaw(from);
        if (!TryFlush())
            return 0;
        var chunk = Math.Min(from.Length, TlsChunk);
        _tls.Write(from[..chunk]);
        TryFlush();
        return chunk;
    }

    /// <summary>Whether the system has taken everything that <see cref="Send"/> has taken.</summary>
    /// <exception cref="IOException">The connection is broken.</exception>
    public bool TryFlush()
    {
        if (_encrypted is null || _encrypted.Count == 0)
            return true;
        while (_encryptedSent < _encrypted.Count)
        {
            var sent = SendRaw(_encrypted.Written.Span[_encryptedSent..]);
            if (sent == 0)
                return false;
            _encryptedSent += sent;
        }
        _encrypted.Clear();
        _encryptedSent = 0;
        return true;
    }

    /// <summary>Waits until the system takes bytes again, or the connection is broken.</summary>
    public void WaitUntilWritable() => _socket.Poll(Timeout.InfiniteTimeSpan, SelectMode.SelectWrite);

    /// <summary>Says that nothing more will be sent; the peer's answer is the end of its own sending.</summary>
    public void EndSending() => Shutdown(SocketShutdown.Send);

    /// <summary>Ends the connection both ways and wakes who waits for it. May be called at any time by any thread.</summary>
    public void Abort() => Shutdown(SocketShutdown.Both);

    public void Dispose()
    {
        _tls?.Dispose();
        _socket.Dispose();
    }

    private void Shutdown(SocketShutdown how)
    {
        try
        {
            _socket.Shutdown(how);
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
        }
    }

    private void Authenticate(Action<SslStream> handshake)
    {
        _encrypted = new ByteBuffer();
        var tls = new SslStream(new RawStream(this));
        try
        {
            handshake(tls);
            if (tls.NegotiatedApplicationProtocol != SslApplicationProtocol.Http2)
                throw new System.Security.Authentication.AuthenticationException("the peer does not offer HTTP/2 (ALPN h2)");
        }
        catch
        {
            tls.Dispose();
            throw;
        }
        PeerCertificate = tls.RemoteCertificate as X509Certificate2;
        _tls = tls;
    }

    private int ReceiveRaw(Span<byte> to)
    {
        var received = _spinTicks > 0 ? Spin(to) : null;
        if (_direct is not null)
            received ??= LinuxSocket.Receive(_direct, to, wait: true);
        while (received is null)
        {
            _socket.Poll(Timeout.InfiniteTimeSpan, SelectMode.SelectRead);
            received = TryReceive(to);
        }
        _hasReceived = true;
        return received.Value;
    }

    private int? Spin(Span<byte> to)
    {
        for (var end = Stopwatch.GetTimestamp() + _spinTicks; Stopwatch.GetTimestamp() < end;)
            if (TryReceive(to) is { } received)
                return received;
        return null;
    }

    /// <summary>Null where there is nothing yet.</summary>
    private int? TryReceive(Span<byte> to)
    {
        if (_direct is not null)
            return LinuxSocket.Receive(_direct, to, wait: false);
        var received = _socket.Receive(to, SocketFlags.None, out var error);
        return error switch
        {
            SocketError.Success => received,
            SocketError.WouldBlock => null,
            _ => throw Broken(error),
        };
    }

    private int SendRaw(ReadOnlySpan<byte> from)
    {
        if (_direct is not null)
            return LinuxSocket.Send(_direct, from);
        var sent = _socket.Send(from, SocketFlags.None, out var error);
        return error switch
        {
            SocketError.Success => sent,
            SocketError.WouldBlock or SocketError.NoBufferSpaceAvailable => 0,
            _ => throw Broken(error),
        };
    }

    private static IOException Broken(SocketError error) => new($"the connection is broken: {new SocketException((int)error).Message}");

    /// <summary>What TLS reads from and writes to.</summary>
    private sealed class RawStream(ConnectionSocket owner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer) => owner.ReceiveRaw(buffer);

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            owner._encrypted!.Add(buffer);
            // The handshake is answered by the peer, so it must leave; what is sent later is flushed by the sender.
            while (owner._tls is null && !owner.TryFlush())
                owner.WaitUntilWritable();
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
