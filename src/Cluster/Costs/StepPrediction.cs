namespace Grok1Cluster.Cluster.Costs;

/// <summary>A predicted step, in seconds of all layers together. A prediction, never a measurement: say so wherever it is shown.</summary>
/// <param name="Load">What the step computes.</param>
/// <param name="LayerCount">Layers that the step goes through, one after the other.</param>
/// <param name="CoordinatorSeconds">Dense weights, keys and values.</param>
/// <param name="RoundTripSeconds">What a call takes that carries nothing.</param>
/// <param name="OutSeconds">Activations to the workers.</param>
/// <param name="BackSeconds">Replies from the workers.</param>
/// <param name="ExpertSeconds">Each layer's slowest worker.</param>
/// <param name="TouchedExperts">Distinct experts that a layer's tokens choose, expected.</param>
/// <param name="FanOut">Workers that a token is sent to, expected, mean over the layers.</param>
public sealed record StepPrediction(
    StepLoad Load, int LayerCount, double CoordinatorSeconds, double RoundTripSeconds, double OutSeconds, double BackSeconds, double ExpertSeconds,
    double TouchedExperts, double FanOut)
{
    /// <summary>Everything between a layer's dispatch and combine but the experts themselves.</summary>
    public double WireSeconds => RoundTripSeconds + OutSeconds + BackSeconds;

    public double StepSeconds => CoordinatorSeconds + WireSeconds + ExpertSeconds;

    /// <summary>Of one layer, mean over the layers.</summary>
    public double WireSecondsPerLayer => WireSeconds / LayerCount;

    /// <inheritdoc cref="WireSecondsPerLayer"/>
    public double ExpertSecondsPerLayer => ExpertSeconds / LayerCount;

    /// <summary>Of all sequences together.</summary>
    public double TokensPerSecond => Load.Tokens / StepSeconds;
}
