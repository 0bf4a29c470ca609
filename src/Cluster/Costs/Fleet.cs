using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Costs;

/// <summary>The machines of a cluster.</summary>
/// <param name="Workers">Every worker by its id.</param>
public sealed record Fleet(MachineCosts Coordinator, ImmutableDictionary<string, MachineCosts> Workers)
{
    /// <summary>A memory bus and a loopback that a laptop has too.</summary>
    private static readonly MachineCosts OneMachine = new() { ReadBytesPerSecond = 20e9, OpsPerSecond = 5e11, LinkBytesPerSecond = 2.5e9 };

    /// <exception cref="ArgumentException">There is no such worker.</exception>
    public MachineCosts Worker(string id) => Workers.GetValueOrDefault(id) ?? throw new ArgumentException($"worker {id} is not in the fleet", nameof(id));

    /// <summary>Workers that are all alike.</summary>
    public static Fleet Even(MachineCosts coordinator, MachineCosts worker, IEnumerable<string> workerIds) =>
        new(coordinator, workerIds.ToImmutableDictionary(id => id, _ => worker));

    /// <summary>Machines that nobody measured: each has the defaults of <see cref="MachineCosts"/>.</summary>
    public static Fleet Assumed(IEnumerable<string> workerIds) => Even(new MachineCosts(), new MachineCosts(), workerIds);

    /// <summary>Processes on one machine that nobody measured: workers share 20 GB/s and 5e11 operations a second, and talk at 2.5 GB/s.</summary>
    public static Fleet AssumedLocal(IReadOnlyCollection<string> workerIds) =>
        Even(OneMachine, OneMachine.Shared(Math.Max(1, workerIds.Count)), workerIds);
}
