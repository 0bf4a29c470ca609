using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>One stream of a connection: a body each way, and what the side that uses it makes of headers and ends.</summary>
internal abstract class Http2Stream
{
    private bool _remoteEnded;

    protected Http2Stream(Http2Connection connection, int id, bool isServer)
    {
        Connection = connection;
        Id = id;
        Window = new ReceiveWindow(connection.Limits.StreamWindow);
        Input = new StreamInput(bytes => connection.Credit(this, bytes));
        Output = new StreamOutput(connection.Sender, this, tellsFaults: !isServer);
    }

    /// <summary>The stream's number; 0 until a client has opened it.</summary>
    public int Id { get; set; }

    /// <summary>What the peer sends.</summary>
    public StreamInput Input { get; }

    /// <summary>What we send.</summary>
    public StreamOutput Output { get; }

    /// <summary>Bytes that the peer may send.</summary>
    public ReceiveWindow Window { get; }

    /// <summary>Whether our side has ended. Guarded by the table.</summary>
    public bool LocalEnded { get; set; }

    /// <summary>Whether the peer's side has ended. Written under the table's lock.</summary>
    public bool RemoteEnded
    {
        get => Volatile.Read(ref _remoteEnded);
        set => Volatile.Write(ref _remoteEnded, value);
    }

    protected Http2Connection Connection { get; }

    /// <summary>A header block has come. On the connection's thread.</summary>
    /// <exception cref="StreamFaultException">It is not what it should be.</exception>
    public abstract void OnHeaders(HeaderList headers, bool endStream);

    /// <summary>The stream ends before its time: reset by either side, or the connection is gone.</summary>
    public abstract void OnBroken(Exception fault);
}
