namespace Grok1Cluster.Cluster.Costs;

/// <summary>What one step computes.</summary>
/// <param name="Tokens">Rows of the step, all sequences together.</param>
/// <param name="Sequences">Sequences whose keys and values are read once.</param>
/// <param name="ContextTokens">Positions that each token attends to.</param>
public readonly record struct StepLoad(int Tokens, int Sequences, int ContextTokens)
{
    /// <summary>One token of each of <paramref name="sequences"/>.</summary>
    public static StepLoad Decode(int sequences, int contextTokens) => new(sequences, sequences, contextTokens);

    /// <summary>A prompt of one sequence in one step; its tokens attend to half of it on average.</summary>
    public static StepLoad Prefill(int promptTokens) => new(promptTokens, 1, promptTokens / 2);
}
