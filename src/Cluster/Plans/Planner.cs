using Grok1Cluster.Cluster.Costs;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>Makes plans. Equal input gives equal plans, so coordinator and tools agree without talking.</summary>
public static class Planner
{
    private const long FirstEpoch = 1;

    /// <summary>The plan that was asked for.</summary>
    /// <param name="workerIds">Every worker of the cluster, each once; a worker that the plan gives nothing stays idle.</param>
    /// <param name="inputs">Faster workers hold more, no worker more than its memory; <see cref="PlanKind.Auto"/> chooses by it.</param>
    /// <exception cref="PlanException">
    /// The experts do not fit into the workers' memory; or the plan file is malformed, does not fit, or names a worker that is not in the cluster.
    /// </exception>
    public static Plan Create(PlanRequest request, PlanGeometry geometry, IReadOnlyList<string> workerIds, AutoInputs inputs)
    {
        if (request.Kind == PlanKind.File)
            return PlanFile.Load(request.FilePath!, geometry, workerIds);
        var workers = Capacities(geometry, workerIds, inputs);
        var firsts = ForFirstCopies(workers, inputs.Copies);
        var plan = request.Kind switch
        {
            PlanKind.Auto => Auto(geometry, workerIds, inputs).Plan,
            PlanKind.Sliced => Sliced(geometry, firsts, inputs.Model.ExpertBytesPerColumn),
            PlanKind.Whole => Mixed(geometry, firsts, inputs.Model.ExpertBytesPerColumn, cut: 1),
            _ => throw new ArgumentOutOfRangeException(nameof(request), request.Kind, "unknown kind of plan"),
        };
        return Replication.Replicate(plan, inputs.Copies, workers, inputs.Model.ExpertBytesPerColumn);
    }

    /// <summary>
    /// Whole experts on equal workers. Piece number layer * ExpertCount + expert goes to worker number piece modulo workers, so every
    /// count of workers is balanced to within one expert over the model, also where it does not divide ExpertCount.
    /// A layer has one bundle for each worker that holds some of its experts, in the order of their first expert.
    /// </summary>
    public static Plan Whole(PlanGeometry geometry, IReadOnlyList<string> workerIds) => Mixed(geometry, Equal(workerIds), 1, cut: 1);

    /// <summary>
    /// Slices of FeedForwardDim on equal workers, as many as workers (fewer where there are not enough blocks), equal to within one
    /// block. Worker s holds slice s of all experts of a layer, as one bundle.
    /// </summary>
    public static Plan Sliced(PlanGeometry geometry, IReadOnlyList<string> workerIds) => Sliced(geometry, Equal(workerIds), 1);

    /// <summary>
    /// Groups of workers; the experts of a layer are dealt to groups, each cut in slices over its group's members. Numbers of
    /// experts and widths of slices follow the workers' speeds, within their memory.
    /// </summary>
    /// <param name="bytesPerColumn">Bytes of one expert of one layer for each column of FeedForwardDim.</param>
    /// <param name="cut">Workers of a group: 1 is whole experts, all workers is slices over all of them.</param>
    /// <exception cref="PlanException">The experts do not fit into the workers' memory.</exception>
    public static Plan Mixed(PlanGeometry geometry, IReadOnlyList<WorkerCapacity> workers, double bytesPerColumn, int cut)
    {
        if (workers.Count == 0)
            throw new ArgumentException("a plan needs at least one worker", nameof(workers));
        if (workers.DistinctBy(worker => worker.Id).Count() != workers.Count)
            throw new ArgumentException("a worker id occurs twice", nameof(workers));
        ArgumentOutOfRangeException.ThrowIfLessThan(cut, 1);
        return new MixedPlanner(geometry, workers, bytesPerColumn).Make(cut, FirstEpoch);
    }

    /// <summary>Predicts a decode step for whole experts, slices over all workers and the cuts between; the fastest wins, of equals the finest cut.</summary>
    /// <exception cref="PlanException">The experts do not fit into the workers' memory under any cut.</exception>
    public static AutoChoice Auto(PlanGeometry geometry, IReadOnlyList<string> workerIds, AutoInputs inputs)
    {
        if (workerIds.Count == 0)
            throw new ArgumentException("a plan needs at least one worker", nameof(workerIds));
        var workers = ForFirstCopies(Capacities(geometry, workerIds, inputs), inputs.Copies);
        var load = StepLoad.Decode(inputs.ConcurrencyTarget, inputs.ContextTokens);
        AutoChoice? best = null;
        PlanException? fault = null;
        foreach (var cut in Cuts(workerIds.Count, geometry.BlockCount))
            try
            {
                var plan = Mixed(geometry, workers, inputs.Model.ExpertBytesPerColumn, cut);
                var prediction = CostModel.Predict(plan, geometry, inputs.Model, inputs.Fleet, load);
                if (best is null || prediction.StepSeconds < best.Prediction.StepSeconds)
                    best = new AutoChoice(plan, cut, prediction);
            }
            catch (PlanException e)
            {
                // A coarser cut may fit where a finer one was rounded up too far, and the other way round.
                fault ??= e;
            }
        return best ?? throw fault!;
    }

    /// <summary>Divisors of the number of workers and powers of two, descending; what gives equal groups comes once.</summary>
    private static IEnumerable<int> Cuts(int workers, int maxCut) =>
        Enumerable.Range(1, workers).Where(cut => workers % cut == 0 || int.IsPow2(cut))
            .Select(cut => workers / cut).Distinct().Order()
            .Select(groups => Math.Min(workers / groups, maxCut)).Distinct();

    private static Plan Sliced(PlanGeometry geometry, IReadOnlyList<WorkerCapacity> workers, double bytesPerColumn)
    {
        // More workers than blocks: the fastest.
        var used = workers.Count <= geometry.BlockCount ? workers : [.. workers.OrderByDescending(worker => worker.Speed).Take(geometry.BlockCount)];
        return Mixed(geometry, used, bytesPerColumn, Math.Max(1, used.Count));
    }

    /// <summary>Every first copy leaves room for the others.</summary>
    private static IReadOnlyList<WorkerCapacity> ForFirstCopies(IReadOnlyList<WorkerCapacity> workers, int copies) =>
        [.. workers.Select(worker => worker with { MemoryBytes = worker.MemoryBytes / copies })];

    private static List<WorkerCapacity> Equal(IReadOnlyList<string> workerIds) => [.. workerIds.Select(id => new WorkerCapacity(id, 1, null))];

    /// <summary>A worker is as fast as it goes through columns with the tokens that an expert has at the concurrency target.</summary>
    public static IReadOnlyList<WorkerCapacity> Capacities(PlanGeometry geometry, IReadOnlyList<string> workerIds, AutoInputs inputs) => [.. workerIds.Select(id =>
    {
        var machine = inputs.Fleet.Worker(id);
        return new WorkerCapacity(id, 1 / inputs.Model.SecondsPerColumn(machine, inputs.TokensPerExpert(geometry.ExpertCount)), machine.MemoryBytes);
    })];
}
