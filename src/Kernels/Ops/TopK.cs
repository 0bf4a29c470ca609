using System.Runtime.CompilerServices;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>
/// The choice a router makes for one token (xAI's <c>Router</c>): softmax over ALL experts, then the k best. The gates are
/// those probabilities as they are; they are not renormalised over the chosen experts.
/// </summary>
public static class TopK
{
    /// <summary>Most experts a router may choose from.</summary>
    public const int MaxExperts = 256;

    /// <summary>Chooses the k experts with the largest probabilities.</summary>
    /// <param name="logits">[experts], float32, at most <see cref="MaxExperts"/>.</param>
    /// <param name="chosen">[k], overwritten with expert indices, best first; of equal probabilities the lower index wins.</param>
    /// <param name="gates">[k], overwritten with the probabilities of the chosen experts.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Choose(ReadOnlySpan<float> logits, Span<int> chosen, Span<float> gates)
    {
        if (logits.Length is 0 or > MaxExperts)
            throw new ArgumentException($"logits has {logits.Length} experts; it must have 1 to {MaxExperts}.");
        Shapes.AtLeast(logits.Length, chosen.Length);
        Shapes.Same(gates.Length, chosen.Length);
        Span<float> probabilities = stackalloc float[MaxExperts];
        probabilities = probabilities[..logits.Length];
        logits.CopyTo(probabilities);
        Softmax.Apply(probabilities);
        for (int k = 0; k < chosen.Length; k++)
        {
            int best = Best(probabilities, chosen[..k]);
            chosen[k] = best;
            gates[k] = probabilities[best];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Best(ReadOnlySpan<float> probabilities, ReadOnlySpan<int> taken)
    {
        int? best = null;
        for (int expert = 0; expert < probabilities.Length; expert++)
            if (!taken.Contains(expert) && (best is null || probabilities[expert] > probabilities[best.Value]))
                best = expert;
        return best!.Value;
    }
}
