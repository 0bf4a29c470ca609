using System.Collections.Immutable;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Membership;

/// <summary>The state of a cluster with one coordinator, in its memory: the workers it was told of, the plan it made.</summary>
/// <param name="workers">Those that there are at first.</param>
public sealed class StaticMembership(IEnumerable<WorkerMember> workers) : IMembership
{
    private readonly Lock _gate = new();
    private ImmutableList<WorkerMember> _workers = [.. workers];
    private PlanRecord? _plan;
    private string? _operation;

    public IReadOnlyList<WorkerMember> Workers => Volatile.Read(ref _workers);

    public PlanRecord? Plan => Volatile.Read(ref _plan);

    public bool IsConnected => true;

    public event Action? Changed;

    /// <summary>Workers of which nothing but the gRPC address is known.</summary>
    public StaticMembership(IEnumerable<string> addresses) : this(addresses.Select(address => new WorkerMember(null, address))) { }

    /// <summary>A worker is somewhere else from now on, and nobody looks for it where it was.</summary>
    public void SetAddress(string id, string address)
    {
        lock (_gate)
            _workers = [.. _workers.Select(worker => worker.Id == id ? worker with { Address = address } : worker)];
        Changed?.Invoke();
    }

    public Task AddWorkerAsync(string address, CancellationToken cancel)
    {
        lock (_gate)
            if (!_workers.Exists(worker => worker.Address == address))
                _workers = _workers.Add(new WorkerMember(null, address));
        Changed?.Invoke();
        return Task.CompletedTask;
    }

    public Task RemoveWorkerAsync(string address, CancellationToken cancel)
    {
        lock (_gate)
            _workers = _workers.RemoveAll(worker => worker.Address == address);
        Changed?.Invoke();
        return Task.CompletedTask;
    }

    public Task<bool> TrySetPlanAsync(Plan next, PlanRecord? expected, CancellationToken cancel)
    {
        lock (_gate)
        {
            if (_plan?.Revision != expected?.Revision)
                return Task.FromResult(false);
            _plan = new PlanRecord(next, (_plan?.Revision ?? 0) + 1);
        }
        Changed?.Invoke();
        return Task.FromResult(true);
    }

    /// <summary>There is no other coordinator who waits for it.</summary>
    public Task AcknowledgeAsync(long epoch, CancellationToken cancel) => Task.CompletedTask;

    public Task WaitForAcknowledgementsAsync(long epoch, CancellationToken cancel) => Task.CompletedTask;

    public Task<IAsyncDisposable> LockAsync(string operation, CancellationToken cancel)
    {
        lock (_gate)
        {
            if (_operation is { } other)
                throw new MembershipException($"{other} is under way; wait for it, then try again");
            _operation = operation;
        }
        return Task.FromResult<IAsyncDisposable>(new Held(this));
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Held(StaticMembership owner) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            lock (owner._gate)
                owner._operation = null;
            return ValueTask.CompletedTask;
        }
    }
}
