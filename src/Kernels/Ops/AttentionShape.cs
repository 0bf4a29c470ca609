using Grok1Cluster.Kernels.KvCache;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>What attention needs to know of a model, checked once.</summary>
public sealed class AttentionShape
{
    /// <param name="kv">How keys and values are cached.</param>
    /// <param name="queryHeads">Query heads, a multiple of the KV heads; query head j reads KV head j / (queryHeads / kvHeads).</param>
    /// <param name="multiplier">Factor of q.k.</param>
    /// <param name="softCap">Logits become cap * tanh(logit / cap); above 0.</param>
    public AttentionShape(KvBlockLayout kv, int queryHeads, float multiplier, float softCap)
    {
        ArgumentNullException.ThrowIfNull(kv);
        if (queryHeads < 1 || queryHeads % kv.KvHeads != 0)
            throw new ArgumentException($"queryHeads is {queryHeads}; it must be a positive multiple of the {kv.KvHeads} KV heads.");
        if (!(softCap > 0))
            throw new ArgumentException($"softCap is {softCap}; it must be above 0.");
        Kv = kv;
        Group = queryHeads / kv.KvHeads;
        Multiplier = multiplier;
        SoftCap = softCap;
    }

    public KvBlockLayout Kv { get; }

    /// <summary>Query heads that read one KV head.</summary>
    public int Group { get; }

    public float Multiplier { get; }

    public float SoftCap { get; }

    /// <summary>Width of one KV head's query heads together.</summary>
    public int GroupDim => Group * Kv.HeadDim;

    /// <summary>
    /// Floats of scratch that <see cref="Attention.Rows"/> needs for a tile of <paramref name="rows"/> rows that ends at
    /// position <paramref name="context"/> - 1: scores, sums and one divisor for each row and head.
    /// </summary>
    public int ScratchLength(int rows, int context) =>
        checked(rows * Group * (PaddedContext(context) + PaddedHeadDim + 1));

    internal static int PaddedContext(int context) =>
        checked(context + KvBlockLayout.Tokens - 1) / KvBlockLayout.Tokens * KvBlockLayout.Tokens;

    internal int PaddedHeadDim => Kv.ValuePanels * KvPanel.Width;
}
