using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>The workers of a cluster, each kept connected: who is lost is looked for until it is back. Thread-safe.</summary>
public sealed class WorkerPool : IAsyncDisposable
{
    private long _version;

    /// <param name="plan">What they serve.</param>
    /// <param name="fingerprint">The model's.</param>
    /// <param name="connections">One of each; owned from now on.</param>
    public WorkerPool(Plan plan, string fingerprint, IEnumerable<WorkerConnection> connections)
    {
        Plan = plan;
        Links = [.. connections.Select(connection => new WorkerLink(connection, plan, fingerprint, OnChanged))];
    }

    public Plan Plan { get; }

    /// <summary>In the order in which they were given.</summary>
    public IReadOnlyList<WorkerLink> Links { get; }

    /// <summary>Grows whenever a worker is lost or back, or another is to be asked before it.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>A worker is lost or back; raised by a thread that must not be held up.</summary>
    public event Action<WorkerLink>? Changed;

    /// <summary>A worker's standing changed, and why; raised by a thread that must not be held up.</summary>
    public event Action<WorkerLink, string>? StandingChanged;

    /// <summary>Two workers answered the same with different bits, and what follows; raised likewise.</summary>
    public event Action<WorkerLink, WorkerLink, string>? Differed;

    /// <summary>What cannot be computed now: the tiles of the plan that only lost workers held.</summary>
    public PlanCoverage Coverage => PlanCoverage.Of(Plan, Links.ToDictionary(link => link.Id, link => link.Held));

    /// <summary>Null where there is none of that id.</summary>
    public WorkerLink? Find(string id) => Links.FirstOrDefault(link => link.Id == id);

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

    private void OnChanged(WorkerLink link)
    {
        Interlocked.Increment(ref _version);
        Changed?.Invoke(link);
    }
}
