using System.Collections.Immutable;
using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Coordinator.Workers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Operations;

/// <summary>Makes and reads plans for one model and the workers of one cluster.</summary>
public sealed class PlanMaker
{
    private readonly ClusterSessionOptions _options;
    private readonly ModelStore _store;

    public PlanMaker(ClusterSessionOptions options, ModelStore store)
    {
        (_options, _store) = (options, store);
        Geometry = new PlanGeometry(store.Name, store.Config.LayerCount, store.Config.ExpertCount, store.Config.FeedForwardDim, store.ExpertLayout.BlockWidth);
    }

    public PlanGeometry Geometry { get; }

    /// <summary>Of one expert of one layer for each column of FeedForwardDim.</summary>
    public double BytesPerColumn => Inputs(Fleet.Assumed([])).Model.ExpertBytesPerColumn;

    /// <summary>A plan for workers of this machine that are not started yet.</summary>
    /// <exception cref="PlanException">There is none that fits, or the plan file is wrong.</exception>
    public Plan MakeLocal(IReadOnlyList<string> ids) => Planner.Create(_options.Plan, Geometry, ids, Inputs(Fleet.AssumedLocal(ids)));

    /// <summary>A plan for workers that are connected.</summary>
    /// <exception cref="PlanException">There is none that fits, or the plan file is wrong.</exception>
    public Plan Make(IReadOnlyList<WorkerConnection> workers) => Planner.Create(_options.Plan, Geometry, [.. workers.Select(worker => worker.Id)], Inputs(Measured(workers)));

    /// <summary>A plan that somebody sent.</summary>
    /// <exception cref="PlanException">It is malformed, or does not fit the model.</exception>
    public Plan Read(ReadOnlySpan<byte> json) => PlanJson.Read(json, Geometry, "the plan");

    /// <summary>Speed and memory of workers, as the planner takes them.</summary>
    public IReadOnlyList<WorkerCapacity> Capacities(IReadOnlyList<WorkerConnection> workers) =>
        Planner.Capacities(Geometry, [.. workers.Select(worker => worker.Id)], Inputs(Measured(workers)));

    /// <summary>Workers as they measured themselves; what they did not measure is assumed.</summary>
    private static Fleet Measured(IReadOnlyList<WorkerConnection> workers)
    {
        var assumed = new MachineCosts();
        return new Fleet(assumed, workers.ToImmutableDictionary(worker => worker.Id, worker =>
        {
            var said = worker.Description;
            var machine = assumed with { RoundTripSeconds = worker.RoundTrip.TotalSeconds, MemoryBytes = said.MemoryBytes > 0 ? said.MemoryBytes : null };
            return said is { ReadBytesPerSecond: > 0, OperationsPerSecond: > 0 } && double.IsFinite(said.ReadBytesPerSecond) && double.IsFinite(said.OperationsPerSecond)
                ? machine with { ReadBytesPerSecond = said.ReadBytesPerSecond, OpsPerSecond = said.OperationsPerSecond }
                : machine;
        }));
    }

    private AutoInputs Inputs(Fleet fleet)
    {
        var bits = StoreCosts.WeightBits(_store.Config, _store.ExpertLayout.Bytes(0, _store.ExpertLayout.Blocks.Count));
        return new AutoInputs(StoreCosts.Of(_store.Config, bits, _options.Precision, _options.KvFormat), fleet, _options.ConcurrencyTarget, Copies: _options.Copies);
    }
}
