using Grok1Cluster.Coordinator.Workers;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>Gives workers that registered themselves their part, without anybody acting. Each is tried once: there may be no piece for it.</summary>
internal sealed class Arrivals : IAsyncDisposable
{
    private readonly MemberWatch _watch;
    private readonly ClusterOperations _operations;
    private readonly Action<string> _note;
    private readonly Lock _gate = new();
    private readonly HashSet<string> _seen = [];
    private Task _running = Task.CompletedTask;

    /// <param name="watch">Says who came; not disposed.</param>
    /// <param name="operations">Changes the plan.</param>
    /// <param name="note">Told what a person should know.</param>
    public Arrivals(MemberWatch watch, ClusterOperations operations, Action<string> note)
    {
        (_watch, _operations, _note) = (watch, operations, note);
        watch.Arrived += OnArrived;
    }

    public async ValueTask DisposeAsync()
    {
        _watch.Arrived -= OnArrived;
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void OnArrived(WorkerLink worker)
    {
        lock (_gate)
            if (_seen.Add(worker.Id) && _running.IsCompleted)
                _running = RebalanceAsync(worker.Id);
    }

    private async Task RebalanceAsync(string worker)
    {
        try
        {
            await _operations.RebalanceAsync(_ => { });
        }
        catch (OperationException e)
        {
            _note($"worker {worker} came, but has no part yet: {e.Message}");
            // Another coordinator may be at it; if not, the next look tries again.
            lock (_gate)
                _seen.Remove(worker);
        }
        catch (OperationCanceledException)
        {
            // The coordinator ends.
        }
    }
}
