using Grok1Cluster.Cluster.Costs;

namespace Grok1Cluster.Cluster.Plans;

/// <summary>What the planner knows of model and machines.</summary>
/// <param name="Model">Bytes and operations of a step.</param>
/// <param name="Fleet">Every worker, as measured; <see cref="Fleet.Assumed"/> or <see cref="Fleet.AssumedLocal"/> where nothing was.</param>
/// <param name="ConcurrencyTarget">Sequences at a time that the plan is to be best for.</param>
/// <param name="ContextTokens">Positions that a token attends to. It adds the same to every plan; only the prediction shows it.</param>
/// <param name="Copies">Workers that hold each bundle.</param>
public sealed record AutoInputs(ModelCosts Model, Fleet Fleet, int ConcurrencyTarget = 1, int ContextTokens = 1024, int Copies = 1)
{
    /// <summary>Tokens that a touched expert has in a step at the target, expected.</summary>
    internal double TokensPerExpert(int experts) =>
        ConcurrencyTarget * (double)Model.ExpertsPerToken / TouchedExperts.Expected(experts, Model.ExpertsPerToken, ConcurrencyTarget);
}

/// <summary>What <see cref="PlanKind.Auto"/> chose.</summary>
/// <param name="Cut">Workers that share an expert: 1 is whole experts, all workers is <see cref="PlanKind.Sliced"/>.</param>
/// <param name="Prediction">Of a decode step at the concurrency target.</param>
public sealed record AutoChoice(Plan Plan, int Cut, StepPrediction Prediction);
