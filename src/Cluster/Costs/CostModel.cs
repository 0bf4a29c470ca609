using System.Collections.Immutable;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Costs;

/// <summary>
/// What a step takes under a plan; one formula for planner, bench and docs (docs/cost-model.md):
/// <code>
/// step = coordinator + layers * (base + out + back) + sum over layers of the slowest worker
/// coordinator = (dense bytes + sequences * context * KV bytes) / B + operations / rate
/// out, back   = tokens * fan-out * EmbeddingDim * wire bytes / link
/// worker      = touched bytes / B + operations / rate
/// </code>
/// Reading and computing add up: a processor that waits for weights does not compute with those it has, but for a little
/// (docs/performance.md compares both with measurements; the larger of the two was too good by a third where they are alike).
/// The slowest worker is the expected maximum over all sets of experts that the tokens can touch, not the maximum of
/// expectations: with whole experts a lone token is as slow as one expert, however many workers there are.
/// </summary>
public static class CostModel
{
    /// <summary>Predicts one step.</summary>
    /// <param name="plan">Has to fit <paramref name="geometry"/>; of replicas the preferred one works.</param>
    /// <param name="fleet">Has to have every worker that the plan prefers.</param>
    /// <exception cref="ArgumentException">A worker of the plan is not in the fleet, or the step is empty.</exception>
    public static StepPrediction Predict(Plan plan, PlanGeometry geometry, ModelCosts model, Fleet fleet, StepLoad load)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(load.Tokens, 1);
        var sets = TouchedExperts.Sets(geometry.ExpertCount, model.ExpertsPerToken, load.Tokens);
        double roundTrip = 0, elements = 0, outSeconds = 0, backSeconds = 0, experts = 0;
        foreach (var layer in plan.Bundles.GroupBy(bundle => bundle.Layer))
        {
            var workers = Loads(plan, geometry, fleet, layer);
            var sent = workers.Select(worker =>
                (worker.Machine, Elements: load.Tokens * (double)model.EmbeddingDim * TouchedExperts.ChanceOfAny(worker.ExpertCount, geometry.ExpertCount, model.ExpertsPerToken))).ToList();
            roundTrip += workers.Max(worker => worker.Machine.RoundTripSeconds);
            elements += sent.Sum(worker => worker.Elements);
            // The coordinator's link carries what all workers get; a worker's link is slower only where it says so.
            var wire = Math.Max(sent.Sum(worker => worker.Elements) / fleet.Coordinator.LinkBytesPerSecond, sent.Max(worker => worker.Elements / worker.Machine.LinkBytesPerSecond));
            outSeconds += wire * model.ActivationWireBytes;
            backSeconds += wire * model.ReplyWireBytes;
            experts += sets.Sum(set => set.Probability * workers.Max(worker => worker.Seconds(set, model, load.Tokens)));
        }
        return new StepPrediction(
            load, geometry.LayerCount, CoordinatorSeconds(model, fleet.Coordinator, load), roundTrip, outSeconds, backSeconds, experts,
            TouchedExperts.Expected(geometry.ExpertCount, model.ExpertsPerToken, load.Tokens),
            elements / ((double)load.Tokens * model.EmbeddingDim * geometry.LayerCount));
    }

    private static double CoordinatorSeconds(ModelCosts model, MachineCosts machine, StepLoad load)
    {
        var bytes = model.DenseBytesPerStep + (double)load.Sequences * load.ContextTokens * model.KvBytesPerToken;
        var operations = load.Tokens * (model.DenseOpsPerToken + load.ContextTokens * model.AttentionOpsPerPosition) + load.Sequences * model.HeadOpsPerSequence;
        return bytes / machine.ReadBytesPerSecond + operations / machine.OpsPerSecond;
    }

    private static List<WorkerLoad> Loads(Plan plan, PlanGeometry geometry, Fleet fleet, IEnumerable<Bundle> layer)
    {
        var columns = new SortedDictionary<string, int[]>(StringComparer.Ordinal);
        foreach (var bundle in layer)
        {
            if (!columns.TryGetValue(bundle.Workers[0], out var held))
                columns.Add(bundle.Workers[0], held = new int[geometry.ExpertCount]);
            foreach (var tile in bundle.Tiles)
                held[tile.Expert] += plan.Cuts[tile.Slice + 1] - plan.Cuts[tile.Slice];
        }
        return [.. columns.Select(worker => new WorkerLoad(fleet.Worker(worker.Key), [.. worker.Value]))];
    }

    /// <summary>What one worker holds of one layer.</summary>
    /// <param name="Columns">[ExpertCount] columns of each expert.</param>
    private sealed record WorkerLoad(MachineCosts Machine, ImmutableArray<int> Columns)
    {
        public int ExpertCount { get; } = Columns.Count(columns => columns > 0);

        /// <summary>When a step touches these experts; its tokens are spread over them evenly.</summary>
        public double Seconds(TouchedSet touched, ModelCosts model, int tokens)
        {
            var columns = 0L;
            foreach (var expert in touched.Experts)
                columns += Columns[expert];
            var tokensPerExpert = (double)tokens * model.ExpertsPerToken / touched.Experts.Length;
            return columns * model.SecondsPerColumn(Machine, tokensPerExpert);
        }
    }
}
