using Grok1Cluster.Cluster.Membership;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Cluster.Tests.Operations;

/// <summary>Workers that register themselves, as a test has them come and go, and a store of the plan that fails as a test wants it.</summary>
/// <param name="there">Keeps the plan and the lock.</param>
internal sealed class RegisteredMembership(StaticMembership there) : IMembership
{
    private readonly TaskCompletionSource _lockFailed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private WorkerMember[] _workers = [.. there.Workers];

    public IReadOnlyList<WorkerMember> Workers => Volatile.Read(ref _workers);

    public PlanRecord? Plan => there.Plan;

    public bool IsConnected => true;

    /// <summary>What the next attempt to take the lock fails by.</summary>
    public Exception? LockFault { get; set; }

    /// <summary>Completes when it has failed.</summary>
    public Task LockFailed => _lockFailed.Task;

    /// <summary>Whether another coordinator makes the next change, just before.</summary>
    public bool IsOvertaken { get; set; }

    /// <summary>What the answer to the next exchange of the plan is lost by, after the plan was exchanged.</summary>
    public Exception? AnswerFault { get; set; }

    public event Action? Changed
    {
        add => there.Changed += value;
        remove => there.Changed -= value;
    }

    /// <summary>These are all from now on.</summary>
    public void Set(params WorkerMember[] workers)
    {
        Volatile.Write(ref _workers, workers);
        Tell();
    }

    public Task UntilPlanNamesAsync(params string[] workers) => this.UntilPlanAsync(plan => workers.All(plan.NamedWorkers().Contains));

    public Task AddWorkerAsync(string address, CancellationToken cancel) => throw new MembershipException("workers register themselves");

    public Task RemoveWorkerAsync(string address, CancellationToken cancel)
    {
        Set([.. Workers.Where(worker => worker.Address != address)]);
        return Task.CompletedTask;
    }

    public async Task<bool> TrySetPlanAsync(Plan next, PlanRecord? expected, CancellationToken cancel)
    {
        if (IsOvertaken)
            await there.TrySetPlanAsync(next, expected, cancel);
        IsOvertaken = false;
        var isSet = await there.TrySetPlanAsync(next, expected, cancel);
        if (AnswerFault is not { } fault)
            return isSet;
        AnswerFault = null;
        throw fault;
    }

    public Task AcknowledgeAsync(long epoch, CancellationToken cancel) => there.AcknowledgeAsync(epoch, cancel);

    public Task WaitForAcknowledgementsAsync(long epoch, CancellationToken cancel) => there.WaitForAcknowledgementsAsync(epoch, cancel);

    public Task<IAsyncDisposable> LockAsync(string operation, CancellationToken cancel)
    {
        if (LockFault is not { } fault)
            return there.LockAsync(operation, cancel);
        LockFault = null;
        _lockFailed.SetResult();
        throw fault;
    }

    public ValueTask DisposeAsync() => there.DisposeAsync();

    /// <summary>News that changes nothing in what is kept.</summary>
    private void Tell() => _ = there.RemoveWorkerAsync("nobody:1", CancellationToken.None);
}

internal static class PlanWaits
{
    /// <summary>Completes when the cluster has a plan as asked for.</summary>
    public static async Task UntilPlanAsync(this IMembership membership, Func<Plan, bool> condition)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void Look()
        {
            if (membership.Plan is { } record && condition(record.Plan))
                reached.TrySetResult();
        }
        membership.Changed += Look;
        Look();
        await reached.Task.WaitAsync(Grok1Process.DefaultTimeout);
        membership.Changed -= Look;
    }
}
