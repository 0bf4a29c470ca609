using Grok1Cluster.Cluster.Costs;
using Grok1Cluster.Cluster.Plans;

namespace Grok1Cluster.Cluster.Tests.Costs;

/// <summary>Models and machines whose predictions can be computed by hand.</summary>
internal static class Examples
{
    /// <summary>One layer, 4 experts of 100 columns, 2 a token.</summary>
    public static PlanGeometry Small { get; } = new("small", layerCount: 1, expertCount: 4, feedForwardDim: 100, sliceQuantum: 10);

    /// <summary>An expert is 1000 bytes; an activation 10 bytes, a reply 20; a column takes 60 operations a token.</summary>
    public static ModelCosts SmallCosts { get; } = new()
    {
        EmbeddingDim = 10, ExpertsPerToken = 2, DenseBytesPerStep = 3000, ExpertBytesPerColumn = 10, KvBytesPerToken = 2,
        DenseOpsPerToken = 100, HeadOpsPerSequence = 300, AttentionOpsPerPosition = 5, ActivationWireBytes = 1, ReplyWireBytes = 2,
    };

    /// <summary>Reads an expert of the small model in a second; computing costs nothing.</summary>
    public static MachineCosts SmallMachine { get; } = new() { ReadBytesPerSecond = 1000, OpsPerSecond = 1e18, LinkBytesPerSecond = 100, RoundTripSeconds = 0.5 };

    /// <summary>Grok-1, its weights 8 bits each, activations and replies in bfloat16.</summary>
    public static ModelCosts Grok1Int8 { get; } = new()
    {
        EmbeddingDim = 6144, ExpertsPerToken = 2, DenseBytesPerStep = 6.44e9, ExpertBytesPerColumn = 3 * 6144, KvBytesPerToken = 262_144,
        DenseOpsPerToken = 11.3e9, HeadOpsPerSequence = 1.6e9, AttentionOpsPerPosition = 1_572_864, ActivationWireBytes = 2, ReplyWireBytes = 2,
    };
}
