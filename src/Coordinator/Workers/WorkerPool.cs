using System.Collections.Immutable;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>
/// The plan that holds and the workers of the cluster, each kept connected: who is lost is looked for until it is back.
/// Both may change while calls are made. Thread-safe.
/// </summary>
public sealed class WorkerPool : IAsyncDisposable
{
    private readonly string _fingerprint;
    private readonly Lock _gate = new();
    private ImmutableArray<WorkerLink> _links;
    private Plan _plan;
    private long _version;

    /// <param name="plan">What they serve.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="connections">One of each; owned from now on.</param>
    public WorkerPool(Plan plan, string fingerprint, IEnumerable<WorkerConnection> connections)
    {
        (_plan, _fingerprint) = (plan, fingerprint);
        _links = [.. connections.Select(Link)];
    }

    public Plan Plan => Volatile.Read(ref _plan);

    /// <summary>In the order in which they came.</summary>
    public IReadOnlyList<WorkerLink> Links
    {
        get
        {
            lock (_gate)
                return _links;
        }
    }

    /// <summary>Grows whenever a worker comes, goes, is lost, is back, holds something else or is to be asked before another, and with every plan.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>Something happened to a worker; raised by a thread that must not be held up.</summary>
    public event Action<WorkerLink, WorkerChange>? Changed;

    /// <summary>Another plan holds.</summary>
    public event Action<Plan>? PlanChanged;

    /// <summary>A worker's standing changed, and why; raised by a thread that must not be held up.</summary>
    public event Action<WorkerLink, string>? StandingChanged;

    /// <summary>Two workers answered the same with different bits, and what follows; raised likewise.</summary>
    public event Action<WorkerLink, WorkerLink, string>? Differed;

    /// <summary>What cannot be computed now: the tiles of the plan that no connected worker holds.</summary>
    public PlanCoverage Coverage
    {
        get
        {
            var (plan, links) = (Plan, Links.ToDictionary(link => link.Id));
            // Asked every second, and nearly always all is there: that needs no set of every worker's tiles.
            return plan.Bundles.All(bundle => bundle.Workers.Concat(bundle.Cold).Any(id => links.GetValueOrDefault(id)?.For(bundle, plan) is not null))
                ? new PlanCoverage([])
                : PlanCoverage.Of(plan, links.ToDictionary(link => link.Key, link => link.Value.Held(plan)));
        }
    }

    /// <summary>Null where there is none of that id.</summary>
    public WorkerLink? Find(string id) => Links.FirstOrDefault(link => link.Id == id);

    /// <summary>Another plan holds from now on. Calls under way end by the one they were made for.</summary>
    public void SetPlan(Plan plan)
    {
        Volatile.Write(ref _plan, plan);
        Interlocked.Increment(ref _version);
        PlanChanged?.Invoke(plan);
    }

    /// <summary>Takes a worker in.</summary>
    /// <param name="connection">Owned from now on.</param>
    /// <returns>False when there is one of that id: the connection is closed then.</returns>
    public async Task<bool> TryAddAsync(WorkerConnection connection)
    {
        var link = Link(connection);
        bool isNew;
        lock (_gate)
        {
            isNew = !_links.Any(other => other.Id == link.Id);
            if (isNew)
                _links = _links.Add(link);
        }
        if (isNew)
            OnChanged(link, WorkerChange.Joined);
        else
            await link.DisposeAsync();
        return isNew;
    }

    /// <summary>Takes a worker out: it is asked no more, and looked for no more. One that is out already is left alone.</summary>
    public async Task RemoveAsync(WorkerLink link)
    {
        lock (_gate)
        {
            if (!_links.Contains(link))
                return;
            _links = _links.Remove(link);
        }
        OnChanged(link, WorkerChange.Left);
        await link.DisposeAsync();
    }

    /// <summary>A worker was started again, elsewhere.</summary>
    public void SetAddress(string id, string address) => Find(id)?.SetAddress(address);

    public async ValueTask DisposeAsync()
    {
        foreach (var link in Links)
            await link.DisposeAsync();
    }

    /// <summary>A worker is preferred more or less than before: routes are made again.</summary>
    internal void Reroute(WorkerLink link, string reason)
    {
        Interlocked.Increment(ref _version);
        StandingChanged?.Invoke(link, reason);
    }

    internal void Differ(WorkerLink first, WorkerLink second, string verdict) => Differed?.Invoke(first, second, verdict);

    private WorkerLink Link(WorkerConnection connection) => new(connection, _fingerprint, OnChanged);

    private void OnChanged(WorkerLink link, WorkerChange change)
    {
        Interlocked.Increment(ref _version);
        Changed?.Invoke(link, change);
    }
}
