namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// Buffers for choosing one token, 20 bytes for each of the vocabulary. The samplers of all sequences whose tokens are
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
        Counts = new int[vocabularySize];
    }

    public int VocabularySize => Scores.Length;

    /// <summary>Logits after bias and penalties.</summary>
    internal float[] Scores { get; }

    /// <summary>Probabilities but for a factor.</summary>
    internal float[] Weights { get; }

    /// <summary>Tokens to be ordered, as <see cref="CandidateHeap"/> writes them.</summary>
    internal ulong[] Keys { get; }

    /// <summary>How often each token has come; all 0 between calls.</summary>
    internal int[] Counts { get; }
}
