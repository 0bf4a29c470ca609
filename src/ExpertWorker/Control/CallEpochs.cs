namespace Grok1Cluster.ExpertWorker.Control;

/// <summary>
/// Tells when every call that was there at some moment has been answered, however many came after it. Each call belongs to
/// the epoch in which it came; to wait means to begin another epoch and to wait for the end of those before. Thread-safe.
/// </summary>
internal sealed class CallEpochs
{
    private readonly Lock _gate = new();
    private Epoch _current = new();
    private Task _before = Task.CompletedTask;

    /// <summary>A call came; its epoch is to be left when it was answered.</summary>
    public Epoch Enter()
    {
        lock (_gate)
        {
            _current.Open++;
            return _current;
        }
    }

    /// <summary>A call was answered, and uses nothing any more.</summary>
    public void Leave(Epoch epoch)
    {
        lock (_gate)
            if (--epoch.Open == 0 && epoch != _current)
                epoch.Empty.SetResult();
    }

    /// <summary>Completes when all calls that came before now have been answered.</summary>
    public Task WhenAnsweredAsync()
    {
        lock (_gate)
        {
            if (_current.Open > 0)
            {
                _before = Task.WhenAll(_before, _current.Empty.Task);
                _current = new Epoch();
            }
            return _before;
        }
    }

    /// <summary>Calls that came between two moments at which somebody began to wait.</summary>
    internal sealed class Epoch
    {
        /// <summary>Calls without an answer.</summary>
        public int Open { get; set; }

        public TaskCompletionSource Empty { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
