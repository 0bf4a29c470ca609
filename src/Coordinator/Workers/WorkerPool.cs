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

    /// <summary>Grows whenever a worker is lost or back.</summary>
    public long Version => Volatile.Read(ref _version);

    /// <summary>A worker is lost or back; raised by a thread that must not be held up.</summary>
    public event Action<WorkerLink>? Changed;

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

    private void OnChanged(WorkerLink link)
    {
        Interlocked.Increment(ref _version);
        Changed?.Invoke(link);
    }
}
