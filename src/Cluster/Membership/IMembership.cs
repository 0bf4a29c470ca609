using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Membership;

/// <summary>
/// What the coordinators of a cluster agree on: which workers there are and which plan holds. Everything is for any thread.
/// What is known stays known while the store behind it is away; then only changes fail.
/// </summary>
public interface IMembership : IAsyncDisposable
{
    /// <summary>The workers that there are now.</summary>
    IReadOnlyList<WorkerMember> Workers { get; }

    /// <summary>The plan that holds now; null: nobody has made one yet.</summary>
    PlanRecord? Plan { get; }

    /// <summary>Whether what is known is up to date; false while the store is away.</summary>
    bool IsConnected { get; }

    /// <summary>Workers, plan or connection changed. Raised one at a time, by a thread that must not be held up.</summary>
    event Action? Changed;

    /// <summary>Adds a worker that does not register itself.</summary>
    /// <exception cref="MembershipException">This membership's workers register themselves.</exception>
    Task AddWorkerAsync(string address, CancellationToken cancel);

    /// <summary>Takes a worker out for good; it does nothing where there is none of that address.</summary>
    Task RemoveWorkerAsync(string address, CancellationToken cancel);

    /// <summary>Replaces the plan, if it still is the one that the change was made for.</summary>
    /// <param name="next">Its epoch is higher than that of <paramref name="expected"/>.</param>
    /// <param name="expected">What <see cref="Plan"/> was; null: there is to be none.</param>
    /// <returns>False: somebody else was faster.</returns>
    /// <exception cref="MembershipException">The store is away.</exception>
    Task<bool> TrySetPlanAsync(Plan next, PlanRecord? expected, CancellationToken cancel);

    /// <summary>This coordinator dispatches by the plan of this epoch from now on, and by no earlier one.</summary>
    Task AcknowledgeAsync(long epoch, CancellationToken cancel);

    /// <summary>Completes when every coordinator that lives has acknowledged this epoch or a later one.</summary>
    /// <exception cref="MembershipException">The store is away, or a coordinator did not follow within the membership's time; it is named.</exception>
    Task WaitForAcknowledgementsAsync(long epoch, CancellationToken cancel);

    /// <summary>Takes the lock that lets one operation at a time change the cluster; disposing gives it back.</summary>
    /// <exception cref="MembershipException">Another operation is under way, which the message names, or the store is away.</exception>
    Task<IAsyncDisposable> LockAsync(string operation, CancellationToken cancel);
}
