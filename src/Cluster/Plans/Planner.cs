using System.Collections.Immutable;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Makes plans. Equal input gives equal plans, so coordinator and tools agree without talking.</summary>
public static class Planner
{
    private const long FirstEpoch = 1;

    /// <summary>The plan that was asked for.</summary>
    /// <param name="workerIds">Every worker of the cluster, each once; a worker that the plan gives nothing stays idle.</param>
    /// <exception cref="PlanException">The plan file is malformed, does not fit, or names a worker that is not in the cluster.</exception>
    public static Plan Create(PlanRequest request, PlanGeometry geometry, IReadOnlyList<string> workerIds) => request.Kind switch
    {
        PlanKind.Auto or PlanKind.Sliced => Sliced(geometry, workerIds),
        PlanKind.Whole => Whole(geometry, workerIds),
        PlanKind.File => PlanFile.Load(request.FilePath!, geometry, workerIds),
        _ => throw new ArgumentOutOfRangeException(nameof(request), request.Kind, "unknown kind of plan"),
    };

    /// <summary>
    /// Whole experts. Piece number layer * ExpertCount + expert goes to worker number piece modulo workers, so every
    /// count of workers is balanced to within one expert over the model, also where it does not divide ExpertCount.
    /// A layer has one bundle for each worker that holds some of its experts, in the order of their first expert.
    /// </summary>
    public static Plan Whole(PlanGeometry geometry, IReadOnlyList<string> workerIds)
    {
        CheckWorkers(workerIds);
        var bundles = ImmutableArray.CreateBuilder<Bundle>();
        for (var layer = 0; layer < geometry.LayerCount; layer++)
        {
            var holders = Math.Min(workerIds.Count, geometry.ExpertCount);
            for (var first = 0; first < holders; first++)
            {
                var tiles = ImmutableArray.CreateBuilder<TileId>();
                for (var expert = first; expert < geometry.ExpertCount; expert += workerIds.Count)
                    tiles.Add(new TileId(layer, expert, 0));
                var piece = (long)layer * geometry.ExpertCount + first;
                bundles.Add(new Bundle(layer, tiles.DrainToImmutable(), [workerIds[(int)(piece % workerIds.Count)]]));
            }
        }
        return new Plan(FirstEpoch, geometry.Model, [0, geometry.FeedForwardDim], bundles.DrainToImmutable());
    }

    /// <summary>
    /// Slices of FeedForwardDim, as many as workers (fewer where there are not enough blocks), equal to within one
    /// block. Worker s holds slice s of all experts of a layer, as one bundle.
    /// </summary>
    public static Plan Sliced(PlanGeometry geometry, IReadOnlyList<string> workerIds)
    {
        CheckWorkers(workerIds);
        var slices = Math.Min(workerIds.Count, geometry.BlockCount);
        var bundles = ImmutableArray.CreateBuilder<Bundle>(geometry.LayerCount * slices);
        for (var layer = 0; layer < geometry.LayerCount; layer++)
            for (var slice = 0; slice < slices; slice++)
            {
                var tiles = Enumerable.Range(0, geometry.ExpertCount).Select(expert => new TileId(layer, expert, slice));
                bundles.Add(new Bundle(layer, [.. tiles], [workerIds[slice]]));
            }
        return new Plan(FirstEpoch, geometry.Model, EqualCuts(geometry, slices), bundles.DrainToImmutable());
    }

    private static ImmutableArray<int> EqualCuts(PlanGeometry geometry, int slices)
    {
        var cuts = ImmutableArray.CreateBuilder<int>(slices + 1);
        for (var slice = 0; slice <= slices; slice++)
        {
            var block = (long)slice * geometry.BlockCount / slices;
            cuts.Add((int)Math.Min(block * geometry.SliceQuantum, geometry.FeedForwardDim));
        }
        return cuts.MoveToImmutable();
    }

    private static void CheckWorkers(IReadOnlyList<string> workerIds)
    {
        if (workerIds.Count == 0)
            throw new ArgumentException("a plan needs at least one worker", nameof(workerIds));
        if (workerIds.Distinct().Count() != workerIds.Count)
            throw new ArgumentException("a worker id occurs twice", nameof(workerIds));
    }
}
