using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Changes of placement that leave the cuts and the bundles as they are, so that no sum changes by a bit.</summary>
public static class PlanChanges
{
    /// <summary>Gives a copy of a bundle from one worker to another.</summary>
    /// <param name="layer">The bundle's layer.</param>
    /// <param name="bundle">Its place among the bundles of the layer.</param>
    /// <param name="from">Holds it now.</param>
    /// <param name="to">Does not hold it yet.</param>
    /// <returns>A plan of the next epoch.</returns>
    /// <exception cref="PlanException">There is no such bundle, or not there; the message says what there is.</exception>
    public static Plan Move(Plan plan, int layer, int bundle, string from, string to)
    {
        var ofLayer = plan.Bundles.Where(candidate => candidate.Layer == layer).ToList();
        if (bundle < 0 || bundle >= ofLayer.Count)
            throw ofLayer.Count == 0 ? Refuse($"there is no layer {layer}; there are 0 to {plan.Bundles.Max(one => one.Layer)}", "layer")
                : Refuse($"layer {layer} has bundles 0 to {ofLayer.Count - 1}, not {bundle}", "bundle");
        var moved = ofLayer[bundle];
        if (!moved.Workers.Contains(from))
            throw Refuse($"bundle {bundle} of layer {layer} is held by {string.Join(", ", moved.Workers)}, not by {from}");
        if (moved.Workers.Contains(to))
            throw Refuse($"{to} holds bundle {bundle} of layer {layer} already");
        return Next(plan, candidate => candidate == moved ? HeldBy(candidate, candidate.Workers.Replace(from, to)) : candidate);

        PlanException Refuse(string why, string? argument = null) => new("the bundle cannot be moved", [why]) { Argument = argument };
    }

    /// <summary>
    /// Takes a worker out. A bundle that others hold too is theirs; of the rest each goes where its layer would be finished
    /// first, of equals to whoever would hold least for its speed.
    /// </summary>
    /// <param name="workers">Those that may take over; the one that goes is ignored.</param>
    /// <param name="bytesPerColumn">Bytes of one expert of one layer for each column of FeedForwardDim.</param>
    /// <returns>A plan of the next epoch.</returns>
    /// <exception cref="PlanException">The others have no room.</exception>
    public static Plan Without(Plan plan, string worker, IReadOnlyCollection<WorkerCapacity> workers, double bytesPerColumn)
    {
        var takers = workers.Where(taker => taker.Id != worker).ToList();
        var total = new Dictionary<string, long>();
        var ofLayer = new Dictionary<(int Layer, string Worker), long>();
        foreach (var bundle in plan.Bundles)
            foreach (var holder in bundle.Workers.Where(holder => holder != worker))
                Add(bundle, holder);
        return Next(plan, bundle =>
        {
            bundle = bundle with { Cold = bundle.Cold.Remove(worker) };
            if (!bundle.Workers.Contains(worker))
                return bundle;
            if (bundle.Workers.Length > 1)
                return bundle with { Workers = bundle.Workers.Remove(worker) };
            var room = takers.Where(taker => taker.MemoryBytes is not { } bytes || (total.GetValueOrDefault(taker.Id) + plan.Columns(bundle)) * bytesPerColumn <= bytes).ToList();
            if (takers.Count == 0)
                throw new PlanException($"worker {worker} cannot be taken out", ["there is no other worker; add one first"]);
            if (room.Count == 0)
                throw new PlanException($"worker {worker} cannot be taken out", [$"no other worker has room for what it holds of layer {bundle.Layer}; add a worker first, or give the others more memory"]);
            var taken = room.MinBy(taker => (Load(ofLayer.GetValueOrDefault((bundle.Layer, taker.Id)), taker), Load(total.GetValueOrDefault(taker.Id), taker))).Id;
            Add(bundle, taken);
            return HeldBy(bundle, [taken]);

            double Load(long held, WorkerCapacity taker) => (held + plan.Columns(bundle)) / taker.Speed;
        });

        void Add(Bundle bundle, string holder)
        {
            total[holder] = total.GetValueOrDefault(holder) + plan.Columns(bundle);
            ofLayer[(bundle.Layer, holder)] = ofLayer.GetValueOrDefault((bundle.Layer, holder)) + plan.Columns(bundle);
        }
    }

    /// <summary>Whoever holds a bundle is no cold holder of it any more: a plan names nobody twice for one.</summary>
    private static Bundle HeldBy(Bundle bundle, ImmutableArray<string> workers) => bundle with { Workers = workers, Cold = bundle.Cold.RemoveRange(workers) };

    private static Plan Next(Plan plan, Func<Bundle, Bundle> change) => plan with { Epoch = plan.Epoch + 1, Bundles = [.. plan.Bundles.Select(change)] };
}
