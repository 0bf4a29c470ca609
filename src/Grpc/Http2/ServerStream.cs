using System.IO.Pipelines;
using System.Security.Cryptography.X509Certificates;
using Grok1Cluster.Grpc.Server;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>A request on our own connection.</summary>
internal sealed class ServerStream : Http2Stream, IServerStream
{
    // Never disposed: the connection may cancel it late, and without a timer it holds nothing.
    private readonly CancellationTokenSource _aborted = new();
    private readonly ServerConnection _connection;
    private HeaderList _trailers = [];
    private bool _headSet;

    /// <param name="connection">Where it came.</param>
    /// <param name="id">Its number.</param>
    /// <param name="headers">Its header list, checked here.</param>
    /// <exception cref="StreamFaultException">The list is no request.</exception>
    public ServerStream(ServerConnection connection, int id, HeaderList headers)
        : base(connection, id, isServer: true)
    {
        _connection = connection;
        RequestHeaders = [];
        string? method = null, path = null, scheme = null, authority = null;
        foreach (var (name, value) in headers)
        {
            if (!name.StartsWith(':'))
            {
                FieldRules.Check(id, name, value);
                RequestHeaders.Add(name, value);
                continue;
            }
            ref string? pseudo = ref method;
            switch (name)
            {
                case ":method": break;
                case ":path": pseudo = ref path; break;
                case ":scheme": pseudo = ref scheme; break;
                case ":authority": pseudo = ref authority; break;
                default: throw FieldRules.Malformed(id, "a request has an unknown pseudo-header");
            }
            if (pseudo is not null || RequestHeaders.Count > 0)
                throw FieldRules.Malformed(id, $"{name} is repeated or stands behind other headers");
            pseudo = value;
        }
        if (string.IsNullOrEmpty(method) || string.IsNullOrEmpty(path) || scheme is null)
            throw FieldRules.Malformed(id, "a request lacks :method, :path or :scheme");
        (Method, Path) = (method, path);
    }

    public string Method { get; }

    public string Path { get; }

    public string Peer => _connection.PeerName;

    public X509Certificate2? PeerCertificate => _connection.PeerCertificate;

    public HeaderList RequestHeaders { get; }

    public PipeReader Request => Input;

    public PipeWriter Response => Output;

    public CancellationToken Aborted => _aborted.Token;

    public CancellationToken Stopping => _connection.Stopping;

    public bool HasStarted => _headSet && Output.Head is null;

    public MessageScheduling Scheduling
    {
        set => (Input.Scheduling, Output.Scheduling) = (value, value);
    }

    public void SetResponseHead(int httpStatus, HeaderList headers)
    {
        var head = new HeaderList { { ":status", $"{httpStatus}" } };
        head.AddRange(headers);
        _headSet = true;
        Output.Head = head;
    }

    public void SetTrailers(HeaderList trailers) => _trailers = trailers;

    public Task EndResponseAsync()
    {
        Connection.Sender.End(Output, _trailers);
        return Task.CompletedTask;
    }

    public void Reset() => Connection.Break(this, ErrorCode.Cancel, new OperationCanceledException("the call was broken off"));

    /// <summary>The handler has finished: what it wrote and its trailers are sent.</summary>
    public void Finish()
    {
        Input.Drop();
        Connection.Sender.End(Output, _trailers);
    }

    public override void OnHeaders(HeaderList headers, bool endStream)
    {
        if (RemoteEnded)
            throw new StreamFaultException(Id, ErrorCode.StreamClosed, "headers follow the end of a request");
        if (!endStream)
            throw FieldRules.Malformed(Id, "the trailers of a request do not end it");
        Connection.EndRemote(this);
    }

    public override void OnBroken(Exception fault)
    {
        Input.Fail(fault as IOException ?? new IOException(fault.Message, fault));
        _aborted.Cancel();
    }
}
