namespace Grok1Cluster.Cluster.Plans;

/// <summary>Copies of bundles, so that a worker may be lost without anybody waiting.</summary>
public static class Replication
{
    /// <summary>
    /// Gives each bundle so many holders in all. The holders after the first are the workers that would hold least for their speed,
    /// so what one worker leaves is spread over the others.
    /// </summary>
    /// <param name="plan">Each bundle has one worker.</param>
    /// <param name="copies">Holders of each bundle, at least 1.</param>
    /// <param name="workers">All that may hold copies.</param>
    /// <param name="bytesPerColumn">Bytes of one expert of one layer for each column of FeedForwardDim.</param>
    /// <exception cref="PlanException">There are not so many workers, or they have no room.</exception>
    public static Plan Replicate(Plan plan, int copies, IReadOnlyCollection<WorkerCapacity> workers, double bytesPerColumn)
    {
        if (copies > workers.Count)
            throw new PlanException($"{copies} copies of each bundle cannot be placed", [$"there are {workers.Count} workers; start more, or ask for fewer copies"]);
        if (copies <= 1)
            return plan;
        var held = workers.ToDictionary(worker => worker.Id, _ => 0L);
        foreach (var bundle in plan.Bundles)
            held[bundle.Workers[0]] += plan.Columns(bundle);
        // What one worker has lent to another: a loss is spread only if no pair shares more than others.
        var shared = new Dictionary<(string First, string Second), long>();
        return plan with { Bundles = [.. plan.Bundles.Select(Widen)] };

        Bundle Widen(Bundle bundle)
        {
            var holders = bundle.Workers;
            while (holders.Length < copies)
            {
                var (first, columns) = (holders[0], plan.Columns(bundle));
                var room = workers.Where(worker => !holders.Contains(worker.Id) && (worker.MemoryBytes is not { } bytes || (held[worker.Id] + columns) * bytesPerColumn <= bytes)).ToList();
                if (room.Count == 0)
                    throw new PlanException($"{copies} copies of each bundle do not fit into the workers' memory", [$"nobody has room for copy {holders.Length + 1} of a bundle of layer {bundle.Layer}; add workers, give them more memory, or ask for fewer copies"]);
                var next = room.MinBy(worker => ((held[worker.Id] + columns) / worker.Speed, shared.GetValueOrDefault((first, worker.Id)))).Id;
                held[next] += columns;
                shared[(first, next)] = shared.GetValueOrDefault((first, next)) + columns;
                holders = holders.Add(next);
            }
            return bundle with { Workers = holders };
        }
    }
}
