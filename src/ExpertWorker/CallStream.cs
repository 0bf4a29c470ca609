using System.Threading.Channels;
using Grok1Cluster.Protos.Expert.V1;

namespace Grok1Cluster.ExpertWorker;

/// <summary>One coordinator's stream of calls: which are open, which of those it cancelled, and the answers on their way back.</summary>
internal sealed class CallStream(CancellationToken ended)
{
    private readonly Dictionary<ulong, bool> _cancelled = [];
    private readonly Channel<ProcessResponse> _answers = Channel.CreateUnbounded<ProcessResponse>(new UnboundedChannelOptions { SingleReader = true });
    private bool _noMoreCalls;

    /// <summary>Answers as they come; completes when no call is open and none will come.</summary>
    public ChannelReader<ProcessResponse> Answers => _answers.Reader;

    /// <summary>Takes a call in; false when its id is open already.</summary>
    public bool TryOpen(ulong id)
    {
        lock (_cancelled)
            return _cancelled.TryAdd(id, false);
    }

    /// <summary>Marks an open call as not wanted; one that is not open has its answer under way.</summary>
    public void Cancel(ulong id)
    {
        lock (_cancelled)
            if (_cancelled.ContainsKey(id))
                _cancelled[id] = true;
    }

    /// <summary>Whether an open call is still wanted.</summary>
    public bool IsWanted(ulong id)
    {
        lock (_cancelled)
            return !ended.IsCancellationRequested && !_cancelled[id];
    }

    /// <summary>Closes a call, with its answer if it has one.</summary>
    public void Close(ulong id, ProcessResponse? answer)
    {
        lock (_cancelled)
        {
            _cancelled.Remove(id);
            if (answer is not null)
                _answers.Writer.TryWrite(answer);
            CompleteIfDone();
        }
    }

    /// <summary>No more calls will come.</summary>
    public void EndOfCalls()
    {
        lock (_cancelled)
        {
            _noMoreCalls = true;
            CompleteIfDone();
        }
    }

    private void CompleteIfDone()
    {
        if (_noMoreCalls && _cancelled.Count == 0)
            _answers.Writer.TryComplete();
    }
}
