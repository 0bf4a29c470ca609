namespace Grok1Cluster.Cluster.Costs;

/// <summary>What one step of a model costs, whatever machine computes it. Bytes are those read or sent, operations count a multiply and an add as two.</summary>
public sealed record ModelCosts
{
    public required int EmbeddingDim { get; init; }

    public required int ExpertsPerToken { get; init; }

    /// <summary>Bytes of attention, routers, norms and head: what the coordinator reads in every step, however many tokens it has.</summary>
    public required double DenseBytesPerStep { get; init; }

    /// <summary>Bytes of one expert of one layer for each column of FeedForwardDim, scales included: gate, up and down.</summary>
    public required double ExpertBytesPerColumn { get; init; }

    /// <summary>Bytes of keys and values of one position, all layers together.</summary>
    public required double KvBytesPerToken { get; init; }

    /// <summary>Operations of the attention matrices for one token, all layers together.</summary>
    public required double DenseOpsPerToken { get; init; }

    /// <summary>Operations of the head, which only the last token of a sequence needs.</summary>
    public required double HeadOpsPerSequence { get; init; }

    /// <summary>Operations of attention for one token and one position of its context, all layers together.</summary>
    public required double AttentionOpsPerPosition { get; init; }

    /// <summary>Bytes of one element of EmbeddingDim on the way to a worker.</summary>
    public required double ActivationWireBytes { get; init; }

    /// <summary>Bytes of one element of EmbeddingDim on the way back.</summary>
    public required double ReplyWireBytes { get; init; }

    /// <summary>Operations of one token in one column of one expert: three products of EmbeddingDim.</summary>
    public double ExpertOpsPerColumn => 6.0 * EmbeddingDim;

    /// <summary>What a machine takes for one column of one expert: reading it, and computing it for its tokens.</summary>
    public double SecondsPerColumn(MachineCosts machine, double tokens) =>
        ExpertBytesPerColumn / machine.ReadBytesPerSecond + tokens * ExpertOpsPerColumn / machine.OpsPerSecond;
}
