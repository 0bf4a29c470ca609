using Grok1Cluster.Cluster.Plans;
using Grok1Cluster.Coordinator.Session;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Workers;

/// <summary>Whether the workers that are there can serve a plan.</summary>
public static class WorkerCoverage
{
    /// <summary>Every worker has the model's weights, and every bundle has a worker that holds all its tiles.</summary>
    /// <exception cref="ModelException">A worker has other weights.</exception>
    /// <exception cref="PlanException">Names the tiles that nobody holds.</exception>
    public static void Check(Plan plan, ModelStore store, IReadOnlyCollection<WorkerConnection> workers)
    {
        var fingerprint = store.Manifest.Fingerprint;
        foreach (var worker in workers)
            if (worker.Description.Fingerprint != fingerprint)
                throw new ModelException($"worker {worker.Id} at {worker.Address} holds weights {Short(worker.Description.Fingerprint)}, the coordinator's model {store.Name} has {Short(fingerprint)}; import the same model on both");
        var coverage = PlanCoverage.Of(plan, workers.ToDictionary(worker => worker.Id, worker => Held(plan, worker)));
        if (!coverage.IsComplete)
            throw new PlanException($"the plan for {plan.Model} cannot be served by {workers.Count} workers", [$"{coverage.Describe()}; start the workers that hold them"]);
    }

    /// <summary>What a running cluster lacks: the tiles of its plan that only lost workers held.</summary>
    public static PlanCoverage Of(ClusterSession session) => session.WorkerPool?.Coverage ?? new PlanCoverage([]);

    /// <summary>The tiles of a plan that a worker says it holds.</summary>
    internal static IReadOnlySet<TileId> Held(Plan plan, WorkerConnection worker)
    {
        var held = new HashSet<TileId>();
        foreach (var (layer, expert, start, end) in Runs(worker))
            for (var slice = 0; slice < plan.SliceCount; slice++)
                if (start <= plan.Cuts[slice] && plan.Cuts[slice + 1] <= end)
                    held.Add(new TileId(layer, expert, slice));
        return held;
    }

    /// <summary>The columns that a worker holds; it serves neighbouring tiles as one, and parts of them.</summary>
    private static List<(int Layer, int Expert, int Start, int End)> Runs(WorkerConnection worker)
    {
        var runs = new List<(int Layer, int Expert, int Start, int End)>();
        foreach (var tile in worker.Description.Tiles.OrderBy(tile => (tile.Layer, tile.Expert, tile.Start)))
            if (runs.Count > 0 && runs[^1] is var last && (last.Layer, last.Expert) == ((int)tile.Layer, (int)tile.Expert) && tile.Start <= last.End)
                runs[^1] = last with { End = Math.Max(last.End, (int)tile.End) };
            else
                runs.Add(((int)tile.Layer, (int)tile.Expert, (int)tile.Start, (int)tile.End));
        return runs;
    }

    private static string Short(string fingerprint) => fingerprint.Length < 16 ? fingerprint : fingerprint[..16];
}
