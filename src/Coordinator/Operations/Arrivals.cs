using System.Runtime.CompilerServices;
using Grok1Cluster.Coordinator.Workers;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>Gives workers that registered themselves their part, without anybody acting. Each is tried once: there may be no piece for it.</summary>
internal sealed class Arrivals : IAsyncDisposable
{
    private readonly MemberWatch _watch;
    private readonly ClusterOperations _operations;
    private readonly Action<string> _note;
    private readonly Lock _gate = new();

    /// <summary>Those that were tried. A worker that left and comes again is another link.</summary>
    private readonly ConditionalWeakTable<WorkerLink, string> _seen = [];
    private readonly List<WorkerLink> _waiting = [];
    private Task _running = Task.CompletedTask;
    private bool _isRunning;

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
        {
            if (!_seen.TryAdd(worker, worker.Id))
                return;
            _waiting.Add(worker);
            if (_isRunning)
                return;
            _isRunning = true;
            _running = PlaceAsync();
        }
    }

    /// <summary>Who comes while the plan is made anew, too late to be in it, has the next one.</summary>
    private async Task PlaceAsync()
    {
        while (Take() is { Count: > 0 } workers)
            try
            {
                await _operations.RebalanceAsync(_ => { });
                // Who has a part may lose it, and come for another.
                Forget(workers.Where(worker => !_watch.IsNew(worker)));
            }
            catch (OperationCanceledException)
            {
                // The coordinator ends.
            }
            catch (Exception e)
            {
                _note($"worker {string.Join(", ", workers.Select(worker => worker.Id))} came, but has no part yet: {(e is OperationException ? "" : $"{e.GetType().Name}: ")}{e.Message}");
                // Another coordinator may be at it; if not, the next look tries again.
                Forget(workers);
            }
    }

    /// <returns>Who waits and is in no plan; with nobody this has come to its end.</returns>
    private List<WorkerLink> Take()
    {
        lock (_gate)
        {
            List<WorkerLink> workers = [.. _waiting.Where(worker => worker.IsReady && _watch.IsNew(worker))];
            // One that was lost meanwhile arrives again when it is back, and one that has its part when it has lost that.
            Forget(_waiting.Except(workers));
            _waiting.Clear();
            _isRunning = workers.Count > 0;
            return workers;
        }
    }

    /// <summary>They may arrive again.</summary>
    private void Forget(IEnumerable<WorkerLink> workers)
    {
        foreach (var worker in workers)
            _seen.Remove(worker);
    }
}
