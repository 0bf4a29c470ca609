using System.Globalization;
using System.IO.Pipelines;
using Grok1Cluster.Grpc.Client;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <summary>A request that we make on our own connection.</summary>
internal sealed class ClientStream : Http2Stream, IClientStream
{
    private readonly ClientConnection _connection;
    private readonly TaskCompletionSource<ResponseHead> _head = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _closed;

    public ClientStream(ClientConnection connection, HeaderList head, MessageScheduling scheduling)
        : base(connection, 0, isServer: false)
    {
        _connection = connection;
        Output.Head = head;
        (Input.Scheduling, Output.Scheduling) = (scheduling, scheduling);
    }

    public PipeWriter Request => Output;

    public PipeReader Response => Input;

    public HeaderList Trailers { get; private set; } = [];

    public void CompleteRequest()
    {
        Connection.Sender.End(Output, []);
        Connection.OnStreamEnded();
    }

    public ValueTask<ResponseHead> ReceiveHeadAsync() => new(_head.Task);

    public void Close()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        Connection.Break(this, ErrorCode.Cancel, new OperationCanceledException("the stream was closed"));
        Input.Drop();
        _connection.Release();
    }

    public override void OnHeaders(HeaderList headers, bool endStream)
    {
        if (RemoteEnded)
            throw new StreamFaultException(Id, ErrorCode.StreamClosed, "headers follow the end of a response");
        if (_head.Task.IsCompletedSuccessfully)
        {
            if (!endStream)
                throw FieldRules.Malformed(Id, "the trailers of a response do not end it");
            Trailers = Fields(headers, pseudo: false, out _);
        }
        else
        {
            var fields = Fields(headers, pseudo: true, out var status);
            if (status is >= 100 and < 200 && !endStream)
                return;
            _head.TrySetResult(new ResponseHead(status, fields));
        }
        if (endStream)
            Connection.EndRemote(this);
    }

    public override void OnBroken(Exception fault)
    {
        if (_head.TrySetException(fault))
            _ = _head.Task.Exception;
        Input.Fail(fault);
    }

    private HeaderList Fields(HeaderList headers, bool pseudo, out int status)
    {
        var fields = new HeaderList();
        status = 0;
        foreach (var (name, value) in headers)
        {
            if (!name.StartsWith(':'))
            {
                FieldRules.Check(Id, name, value);
                fields.Add(name, value);
            }
            else if (!pseudo || name != ":status" || status != 0 || fields.Count > 0 || value.Length != 3
                || !int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out status) || status < 100)
                throw FieldRules.Malformed(Id, "a response's status is malformed");
        }
        if (pseudo && status == 0)
            throw FieldRules.Malformed(Id, "a response lacks its status");
        return fields;
    }
}
