using Grok1Cluster.Cluster.Wire;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.ExpertWorker;

/// <summary>
/// One coordinator's stream of calls: which are open, which of those it cancelled, and the answers on their way back. A
/// coordinator that does not read its answers holds up nobody but itself: its calls are not read on.
/// </summary>
internal sealed class CallStream
{
    /// <summary>Bytes of calls and unread answers that a coordinator may have here; one call is always taken.</summary>
    private const long MaxOpenBytes = 2L * ExpertMethods.MaxMessageBytes;

    /// <summary>Calls and unread answers that a coordinator may have here.</summary>
    private const int MaxOpenCalls = 64;

    private readonly CancellationToken _ended;
    private readonly SendQueue<ResultFrame> _answers;
    private readonly FramePool<ResultFrame> _frames;
    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, bool> _cancelled = [];
    private long _openBytes;
    private int _unsent;
    private TaskCompletionSource? _room;
    private TaskCompletionSource? _empty;

    /// <param name="responses">Where answers go.</param>
    /// <param name="frames">Takes answers back that were sent.</param>
    /// <param name="ended">The end of the stream.</param>
    public CallStream(IMessageWriter<ResultFrame> responses, FramePool<ResultFrame> frames, CancellationToken ended)
    {
        (_frames, _ended) = (frames, ended);
        // What cannot be sent has nobody who waits for it; the reader of the stream finds out why.
        _answers = new SendQueue<ResultFrame>(responses, Sent, static _ => { }, ended);
    }

    /// <summary>Work of this stream that waits to be computed; the queue's to guard.</summary>
    public Queue<ExpertRequest> Decode { get; } = [];

    /// <inheritdoc cref="Decode"/>
    public Queue<ExpertRequest> Bulk { get; } = [];

    /// <summary>Takes a call in; false when its id is open already.</summary>
    public bool TryOpen(ExpertRequest request)
    {
        lock (_gate)
        {
            if (!_cancelled.TryAdd(request.Frame.Id, false))
                return false;
            _openBytes += request.Frame.Payload.Length;
            return true;
        }
    }

    /// <summary>Marks an open call as not wanted; one that is not open has its answer under way.</summary>
    public void Cancel(ulong id)
    {
        lock (_gate)
            if (_cancelled.ContainsKey(id))
                _cancelled[id] = true;
    }

    /// <summary>Whether an open call is still wanted.</summary>
    public bool IsWanted(ulong id)
    {
        lock (_gate)
            return !_ended.IsCancellationRequested && !_cancelled[id];
    }

    /// <summary>Closes a call and sends its answer, if it has one; never waits.</summary>
    public void Close(ExpertRequest request, ResultFrame? answer)
    {
        lock (_gate)
        {
            _cancelled.Remove(request.Frame.Id);
            _openBytes -= request.Frame.Payload.Length;
            if (answer is not null)
            {
                _openBytes += answer.Values.Length;
                _unsent++;
            }
            Tell();
        }
        if (answer is not null)
            _answers.Send(answer);
    }

    /// <summary>Completes when the coordinator may send another call.</summary>
    public Task WaitForRoomAsync()
    {
        lock (_gate)
            return HasRoom ? Task.CompletedTask : (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    /// <summary>Completes when no call is open and every answer was sent.</summary>
    public Task WaitUntilEmptyAsync()
    {
        lock (_gate)
            return IsEmpty ? Task.CompletedTask : (_empty ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
    }

    // With nothing open and nothing unread no byte is counted.
    private bool HasRoom => _cancelled.Count + _unsent < MaxOpenCalls && _openBytes < MaxOpenBytes;

    private bool IsEmpty => _cancelled.Count == 0 && _unsent == 0;

    private void Sent(ResultFrame answer)
    {
        lock (_gate)
        {
            _openBytes -= answer.Values.Length;
            _unsent--;
            Tell();
        }
        _frames.Return(answer);
    }

    private void Tell()
    {
        if (HasRoom && _room is { } room)
        {
            _room = null;
            room.SetResult();
        }
        if (IsEmpty)
            _empty?.TrySetResult();
    }
}
