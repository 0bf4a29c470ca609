namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// Buffers for choosing one token, 17 bytes for each of the vocabulary. The samplers of all sequences whose tokens are
/// chosen on one thread share one; nothing in it outlives a call.
/// </summary>
public sealed class SamplingWorkspace
{
    public SamplingWorkspace(int vocabularySize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabularySize);
        Scores = new float[vocabularySize];
        Weights = new float[vocabularySize];
        Keys = new ulong[vocabularySize];
        Seen = new bool[vocabularySize];
    }

    public int VocabularySize => Scores.Length;

    /// <summary>Logits after the repetition penalty.</summary>
    internal float[] Scores { get; }

    /// <summary>Probabilities but for a factor.</summary>
    internal float[] Weights { get; }

    /// <summary>Tokens to be ordered, as <see cref="CandidateHeap"/> writes them.</summary>
    internal ulong[] Keys { get; }

    /// <summary>Which tokens have been penalised; all false between calls.</summary>
    internal bool[] Seen { get; }
}
