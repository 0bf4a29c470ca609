using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Coordinator.Session;

/// <summary>What the cost model has to know of a model, from its config and the size of a weight.</summary>
public static class StoreCosts
{
    /// <summary>Bits of a weight that takes its part of an expert's bytes, scales and padding included.</summary>
    public static double WeightBits(Grok1Config config, long bytesPerExpert) => 8.0 * bytesPerExpert / (3.0 * config.EmbeddingDim * config.FeedForwardDim);

    /// <param name="weightBits">Of one weight of experts, attention and head, its part of the scales included.</param>
    /// <param name="precision">Of activations and replies.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    public static ModelCosts Of(Grok1Config config, double weightBits, Precision precision, KvFormat? kvFormat = null)
    {
        var attention = 2.0 * config.LayerCount * config.EmbeddingDim * (config.QueryDim + config.KeyValueDim);
        var head = (double)config.VocabularySize * config.EmbeddingDim;
        var router = (double)config.LayerCount * config.EmbeddingDim * config.ExpertCount;
        var exact = precision == Precision.Exact;
        var kv = new KvBlockLayout(config.KeyValueHeadCount, config.HeadDim, kvFormat ?? KvBlockLayout.FormatFor(exact));
        return new ModelCosts
        {
            EmbeddingDim = config.EmbeddingDim,
            ExpertsPerToken = config.ExpertsPerToken,
            DenseBytesPerStep = (attention + head) * weightBits / 8 + router * sizeof(float),
            ExpertBytesPerColumn = 3.0 * config.EmbeddingDim * weightBits / 8,
            KvBytesPerToken = (double)config.LayerCount * kv.BlockBytes / KvBlockLayout.Tokens,
            DenseOpsPerToken = 2 * attention,
            HeadOpsPerSequence = 2 * head,
            // Query times key, probability times value.
            AttentionOpsPerPosition = 4.0 * config.LayerCount * config.QueryDim,
            ActivationWireBytes = exact ? sizeof(float) : 1 + (double)sizeof(float) / ReductionAxis.MaxBlock,
            ReplyWireBytes = exact ? sizeof(float) : sizeof(ushort),
        };
    }
}
