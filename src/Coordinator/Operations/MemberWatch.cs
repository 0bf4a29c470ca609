using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Cluster.Security;
using Grok1Cluster.Coordinator.Dispatch;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Grpc;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>
/// Keeps a coordinator in step with its cluster: takes over the plans that were agreed on, connects workers that appear, lets
/// those go that left, and has workers hold what the plan gives them, also after they came back with nothing.
/// </summary>
internal sealed class MemberWatch : IAsyncDisposable
{
    /// <summary>How long a worker that could not be reached or could not hold its share is left alone.</summary>
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    /// <summary>Messages name addresses and sizes, and a cluster lives long.</summary>
    private const int MostTold = 1000;

    private readonly IMembership _membership;
    private readonly WorkerPool _pool;
    private readonly RemoteExpertDispatcher _dispatcher;
    private readonly ShareBlocks _blocks;
    private readonly WeightMovement _weights;
    private readonly string _fingerprint;
    private readonly NodeCredentials? _tls;
    private readonly Action<string> _note;
    private readonly CancellationTokenSource _closing = new();
    private readonly SemaphoreSlim _news = new(0);
    private readonly Lock _gate = new();
    private readonly List<(long Epoch, TaskCompletionSource Kept)> _waits = [];
    private readonly HashSet<string> _told = [];
    private readonly HashSet<string> _filling = [];

    /// <summary>By address, those that are being connected; one that does not answer holds up neither the plan nor the others. The watch's own.</summary>
    private readonly Dictionary<string, Task> _connecting = [];

    /// <summary>Workers that a plan has named while they were connected: one of them that has no part any more is about to leave.</summary>
    private readonly HashSet<string> _named = [];
    private readonly Task _running;
    private Task _keeping = Task.CompletedTask;
    private long _keptEpoch;

    /// <param name="membership">What is agreed on; not disposed.</param>
    /// <param name="pool">Follows it; not disposed.</param>
    /// <param name="dispatcher">Knows which plans calls are under way by.</param>
    /// <param name="blocks">What each worker should hold.</param>
    /// <param name="weights">Has them hold it.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="tls">What to show to workers; null in clear.</param>
    /// <param name="note">Told what a person should know.</param>
    public MemberWatch(IMembership membership, WorkerPool pool, RemoteExpertDispatcher dispatcher, ShareBlocks blocks, WeightMovement weights, string fingerprint, NodeCredentials? tls, Action<string> note)
    {
        (_membership, _pool, _dispatcher, _blocks, _weights, _fingerprint, _tls, _note) = (membership, pool, dispatcher, blocks, weights, fingerprint, tls, note);
        _keptEpoch = pool.Plan.Epoch;
        membership.Changed += Look;
        pool.Changed += OnWorkerChanged;
        Name(pool.Plan);
        // What there is by now is news too.
        Look();
        _running = RunAsync();
    }

    /// <summary>A worker that no plan has named is connected: somebody may give it a part.</summary>
    public event Action<WorkerLink>? Arrived;

    /// <summary>Completes when this coordinator makes its calls by a plan of this epoch or a later one, and none by an earlier one is under way.</summary>
    public Task WaitForPlanAsync(long epoch, CancellationToken cancel)
    {
        lock (_gate)
        {
            if (_keptEpoch >= epoch)
                return Task.CompletedTask;
            var kept = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waits.Add((epoch, kept));
            return kept.Task.WaitAsync(cancel);
        }
    }

    /// <summary>Takes a worker into the pool, unless it is there. It may have another id than one that was at its address and is lost.</summary>
    /// <exception cref="RpcException">It cannot be reached.</exception>
    /// <exception cref="MembershipException">It has other weights, or the id of another worker.</exception>
    public async Task ConnectAsync(string address, CancellationToken cancel)
    {
        if (_pool.Links.Any(link => link.IsReady && link.Connection.Address == address))
            return;
        var connection = await WorkerConnection.ConnectAsync(address, _tls, null, cancel);
        var refusal = connection.Description.Fingerprint != _fingerprint ? $"worker {connection.Id} at {address} has the weights of another model"
            : _pool.Find(connection.Id) is { IsReady: true } other ? $"the workers at {other.Connection.Address} and {address} both call themselves {connection.Id}; give each its own --id"
            : null;
        if (refusal is not null)
        {
            await connection.DisposeAsync();
            throw new MembershipException(refusal);
        }
        if (_pool.Find(connection.Id) is { } lost)
        {
            // The same worker, started again at another address.
            await connection.DisposeAsync();
            lost.SetAddress(address);
            return;
        }
        // Where it is not new, an operation and this watch met it at the same time.
        await _pool.TryAddAsync(connection);
    }

    public async ValueTask DisposeAsync()
    {
        _membership.Changed -= Look;
        _pool.Changed -= OnWorkerChanged;
        await _closing.CancelAsync();
        await _running;
        await Task.WhenAll(_connecting.Values);
        await _keeping;
        _closing.Dispose();
    }

    private void Look() => _news.Release();

    private void OnWorkerChanged(WorkerLink link, WorkerChange change)
    {
        if (change is WorkerChange.Lost or WorkerChange.Left)
            lock (_gate)
                _named.Remove(link.Id);
        if (change is WorkerChange.Lost or WorkerChange.Back or WorkerChange.Joined)
            Look();
    }

    private async Task RunAsync()
    {
        try
        {
            for (var again = false; ; )
            {
                // Everything that is news by now is looked at once.
                await _news.WaitAsync(again ? RetryPause : Timeout.InfiniteTimeSpan, _closing.Token);
                while (_news.Wait(0, CancellationToken.None))
                {
                }
                try
                {
                    FollowPlan();
                    again = !await FollowWorkersAsync();
                    again |= Fill();
                }
                catch (Exception e) when (!_closing.IsCancellationRequested)
                {
                    // Whatever it was: a coordinator that does not follow its cluster any more would serve by a plan of the past.
                    again = true;
                    Tell($"plan and workers could not be followed: {e.GetType().Name}: {e.Message}; trying again");
                }
            }
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested)
        {
            // Disposed.
        }
    }

    private void FollowPlan()
    {
        if (_membership.Plan?.Plan is not { } plan || plan.Epoch <= _pool.Plan.Epoch)
            return;
        Name(plan);
        _pool.SetPlan(plan);
        // Not waited for: calls by the plan before may wait for a worker that only this watch brings back.
        _keeping = KeepAsync(plan, _keeping);
    }

    /// <summary>Tells that a plan holds here, once no call by an earlier one is under way. Never throws.</summary>
    /// <param name="before">The same of the plan before: they are told in their order.</param>
    private async Task KeepAsync(Plan plan, Task before)
    {
        await before;
        try
        {
            await _dispatcher.WaitUntilKeptAsync(plan, _closing.Token);
            lock (_gate)
            {
                _keptEpoch = plan.Epoch;
                foreach (var (_, kept) in _waits.Where(wait => wait.Epoch <= _keptEpoch))
                    kept.TrySetResult();
                _waits.RemoveAll(wait => wait.Epoch <= _keptEpoch);
            }
            await _membership.AcknowledgeAsync(plan.Epoch, _closing.Token);
        }
        catch (Exception e)
        {
            if (!_closing.IsCancellationRequested)
                Tell($"plan {plan.Epoch} holds here, but the others were not told: {e.Message}");
        }
    }

    /// <returns>False while somebody is being connected, or cannot be.</returns>
    private async Task<bool> FollowWorkersAsync()
    {
        foreach (var (address, connecting) in _connecting)
            if (connecting.IsCompleted)
                _connecting.Remove(address);
        var all = true;
        var members = _membership.Workers;
        foreach (var member in members)
        {
            if (member.Leaving)
                continue;
            if (member.Id is { } id && _pool.Find(id) is { } known)
            {
                if (!known.IsReady)
                    known.SetAddress(member.Address);
                continue;
            }
            // Its own link looks for a lost worker that has no id here.
            if (member.Id is null && _pool.Links.Any(link => link.Connection.Address == member.Address))
                continue;
            all = false;
            if (!_connecting.ContainsKey(member.Address))
                _connecting[member.Address] = TryConnectAsync(member.Address);
        }
        foreach (var link in _pool.Links)
            if (!link.IsReady && !members.Any(member => member.Id is { } id ? id == link.Id : member.Address == link.Connection.Address) && !_pool.Plan.HoldingWorkers().Contains(link.Id))
                await _pool.RemoveAsync(link);
        return all;
    }

    /// <summary>Never throws.</summary>
    private async Task TryConnectAsync(string address)
    {
        try
        {
            await ConnectAsync(address, _closing.Token);
        }
        catch (Exception e)
        {
            if (!_closing.IsCancellationRequested)
                Tell($"the worker at {address} cannot be used: {(e as RpcException)?.Status.Message ?? e.Message}");
        }
    }

    /// <summary>Has everybody who is there hold what the plan gives it, each at its own pace.</summary>
    /// <returns>Whether somebody is at it, or could not.</returns>
    private bool Fill()
    {
        var plan = _pool.Plan;
        var busy = false;
        foreach (var link in _pool.Links)
        {
            if (!link.IsReady)
                continue;
            if (!plan.NamedWorkers().Contains(link.Id) && IsNew(link))
                Arrived?.Invoke(link);
            if (_blocks.Missing(plan, link.Connection).Concat(ColdBlocks(plan, link)).ToList() is not { Count: > 0 } missing)
                continue;
            busy = true;
            lock (_gate)
                if (!_filling.Add(link.Id))
                    continue;
            _ = FillAsync(link, missing);
        }
        return busy;
    }

    /// <summary>What a worker has on disk for others, who are lost.</summary>
    private IEnumerable<BlockRange> ColdBlocks(Plan plan, WorkerLink worker) => plan.Bundles
        .Where(bundle => bundle.Cold.Contains(worker.Id) && !bundle.Workers.Any(id => _pool.Find(id)?.For(bundle, plan) is not null))
        .SelectMany(bundle => _blocks.Missing(_blocks.Of(bundle, plan), worker.Connection));

    private async Task FillAsync(WorkerLink link, IReadOnlyList<BlockRange> missing)
    {
        try
        {
            await _weights.HoldAsync(link, missing, _ => { }, _closing.Token);
        }
        catch (Exception e)
        {
            // Whatever it was: nobody else would tell of it.
            if (!_closing.IsCancellationRequested)
                Tell($"{e.Message}; it is asked again");
        }
        finally
        {
            lock (_gate)
                _filling.Remove(link.Id);
        }
    }

    private void Name(Plan plan)
    {
        lock (_gate)
            _named.UnionWith(plan.NamedWorkers());
    }

    /// <summary>Whether no plan has named a worker since it was connected.</summary>
    public bool IsNew(WorkerLink link)
    {
        lock (_gate)
            return !_named.Contains(link.Id);
    }

    /// <summary>Each thing once, however often it is tried; after very many different ones each once more, so that they are not kept for ever.</summary>
    private void Tell(string what)
    {
        lock (_gate)
        {
            if (_told.Count == MostTold)
                _told.Clear();
            if (!_told.Add(what))
                return;
        }
        _note(what);
    }
}
