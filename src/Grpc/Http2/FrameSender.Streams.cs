using System.IO.Pipelines;
using Grok1Cluster.Grpc.Wire;

namespace Grok1Cluster.Grpc.Http2;

/// <content>What streams ask for: their heads, bodies and ends.</content>
internal sealed partial class FrameSender
{
    /// <summary>Sends what was written to <paramref name="output"/>; the first time its head as well.</summary>
    public ValueTask<FlushResult> FlushAsync(StreamOutput output, CancellationToken cancellationToken)
    {
        ValueTask<FlushResult> flush;
        Exception? refused = null;
        lock (_gate)
        {
            if (!output.Dead)
            {
                output.FlushWritten();
                refused = Open(output, FrameFlags.None);
                _bodies.Queue(output);
                Pump();
            }
            if (output.TakeCancellation())
                output.Kill(null);
            if (output.Dead)
                flush = output.Fault is { } fault ? ValueTask.FromException<FlushResult>(fault) : ValueTask.FromResult(new FlushResult(true, false));
            else
                flush = _bodies.IsDrained(output) ? ValueTask.FromResult(default(FlushResult)) : output.Await(cancellationToken);
        }
        EndWaits();
        TellRefused(output, refused);
        return flush;
    }

    /// <summary>Sends what is written and not flushed, then the end of the stream.</summary>
    /// <param name="output">The body that ends.</param>
    /// <param name="trailers">Sent after the body; where nothing has been sent and there is no body, END_STREAM goes with the head and these must be empty.</param>
    public void End(StreamOutput output, HeaderList trailers)
    {
        Exception? refused;
        lock (_gate)
        {
            if (output.Dead || output.Ending is not null)
                return;
            output.FlushWritten();
            output.Ending = trailers;
            var headAlone = output.Head is not null && output.Unsent == 0 && trailers.Count == 0;
            refused = Open(output, headAlone ? FrameFlags.EndStream : FrameFlags.None);
            if (headAlone)
                EndLocal(output);
            else if (_bodies.IsDrained(output))
                SendEnd(output);
            else
                _bodies.Queue(output);
            Pump();
        }
        EndWaits();
        TellRefused(output, refused);
    }

    /// <summary>Breaks the stream off for a reason, which who waits for it is told; with <paramref name="tell"/> so is the peer, where it knows the stream.</summary>
    public void Kill(StreamOutput output, ErrorCode? tell, Exception? fault)
    {
        bool wake;
        lock (_gate)
        {
            if (tell is { } code && _streams.Forget(output.Stream))
                _control.AddReset(output.Stream.Id, code);
            output.Kill(fault);
            wake = output.TakeWaiter();
            Pump();
        }
        if (wake)
            output.EndWait();
        EndWaits();
    }

    /// <summary>Cancels the flush that waits, or the next.</summary>
    public void CancelFlush(StreamOutput output, CancellationToken token)
    {
        bool wake;
        lock (_gate)
            wake = output.Cancel(token.CanBeCanceled ? new OperationCanceledException(token) : null);
        if (wake)
            output.EndWait();
    }

    /// <summary>Sends the head unless it was sent. An output that cannot send any more dies, and the result says why.</summary>
    private Exception? Open(StreamOutput output, FrameFlags flags)
    {
        Exception? refused = _failure;
        if (refused is null && output.Head is null)
            return null;
        if (refused is null && !_streams.TryOpen(output.Stream))
            refused = new Http2Exception(ErrorCode.RefusedStream, "the connection takes no new streams");
        if (refused is null)
        {
            _control.AddHeaders(output.Stream.Id, output.Head!, flags);
            output.Head = null;
        }
        else
            output.Kill(refused);
        return refused;
    }

    /// <summary>A stream that was never opened is in no table, so nobody else would tell it that its connection is gone.</summary>
    private static void TellRefused(StreamOutput output, Exception? refused)
    {
        if (refused is not null && output.Stream.Id == 0)
            output.Stream.OnBroken(refused);
    }

    private void SendEnd(StreamOutput output)
    {
        if (output.Dead)
            return;
        if (output.Ending!.Count > 0)
            _control.AddHeaders(output.Stream.Id, output.Ending, FrameFlags.EndStream);
        else
            _control.Add(FrameType.Data, FrameFlags.EndStream, output.Stream.Id, 0);
        EndLocal(output);
    }

    private void EndLocal(StreamOutput output)
    {
        if (output.Dead)
            return;
        output.Kill(null);
        if (_streams.EndLocal(output.Stream))
            _control.AddReset(output.Stream.Id, ErrorCode.NoError);
    }
}
