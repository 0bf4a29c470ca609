using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>Whether the workers that are there can serve a plan.</summary>
public static class WorkerCoverage
{
    /// <exception cref="ModelException">A worker has other weights than the coordinator.</exception>
    public static void CheckWeights(ModelStore store, WorkerConnection worker)
    {
        var fingerprint = store.Manifest.Fingerprint;
        if (worker.Description.Fingerprint != fingerprint)
            throw new ModelException($"worker {worker.Id} at {worker.Address} holds weights {Short(worker.Description.Fingerprint)}, the coordinator's model {store.Name} has {Short(fingerprint)}; import the same model on both");
    }

    /// <summary>Every bundle has a worker that holds all its tiles.</summary>
    /// <exception cref="PlanException">Names the tiles that nobody holds.</exception>
    public static void Check(Plan plan, IReadOnlyCollection<WorkerConnection> workers)
    {
        var coverage = PlanCoverage.Of(plan, workers.ToDictionary(worker => worker.Id, worker => worker.Held.TilesOf(plan)));
        if (!coverage.IsComplete)
            throw new PlanException($"the plan for {plan.Model} cannot be served by {workers.Count} workers", [$"{coverage.Describe()}; start the workers that hold them"]);
    }

    /// <summary>What a running cluster lacks: the tiles of its plan that only lost workers held.</summary>
    public static PlanCoverage Of(ClusterSession session) => session.WorkerPool?.Coverage ?? new PlanCoverage([]);

    private static string Short(string fingerprint) => fingerprint.Length < 16 ? fingerprint : fingerprint[..16];
}
