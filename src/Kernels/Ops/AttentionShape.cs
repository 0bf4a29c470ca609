using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Numerics;

namespace Grok1Cluster.Kernels.Ops;

/// <summary>What attention needs to know of a model, checked once.</summary>
public sealed class AttentionShape
{
    /// <summary>The largest soft cap: exponentials of capped logits, summed over any context, stay far from overflow.</summary>
    public const float MaxSoftCap = 64;

    /// <param name="kv">How keys and values are cached.</param>
    /// <param name="queryHeads">Query heads, a multiple of the KV heads; query head j reads KV head j / (queryHeads / kvHeads).</param>
    /// <param name="multiplier">Factor of q.k.</param>
    /// <param name="softCap">Logits become cap * tanh(logit / cap); above 0, at most <see cref="MaxSoftCap"/>.</param>
    public AttentionShape(KvBlockLayout kv, int queryHeads, float multiplier, float softCap)
    {
        ArgumentNullException.ThrowIfNull(kv);
        if (queryHeads < 1 || queryHeads % kv.KvHeads != 0)
            throw new ArgumentException($"queryHeads is {queryHeads}; it must be a positive multiple of the {kv.KvHeads} KV heads.");
        if (!(softCap is > 0 and <= MaxSoftCap))
            throw new ArgumentException($"softCap is {softCap}; it must be above 0 and at most {MaxSoftCap}.");
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

    /// <summary>What q.k is multiplied by under the hyperbolic tangent.</summary>
    internal float Factor => Multiplier / SoftCap;

    /// <summary>Width of one KV head's query heads together.</summary>
    public int GroupDim => Group * Kv.HeadDim;

    /// <summary>
    /// Floats of scratch that <see cref="Attention"/> needs for a tile of <paramref name="rows"/> rows, whatever the context:
    /// scores of one KV block, the partial result of one split, and of all splits so far.
    /// </summary>
    public int ScratchLength(int rows) => checked(rows * (Group * KvBlockLayout.Tokens + 2 * PartialLength));

    /// <summary>
    /// Floats of a row's partial result: for each of the group's heads the sums of weighted values, [PaddedHeadDim], and of
    /// exponentials, [32] by position mod 32.
    /// </summary>
    internal int PartialLength => Group * PartialStride;

    internal int PartialStride => PaddedHeadDim + LaneSum.Lanes;

    internal int PaddedHeadDim => Kv.ValuePanels * KvPanel.Width;
}
