using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Coordinator.Bench;

/// <summary>What a step reads and computes, from the store.</summary>
internal sealed class ModelTraffic
{
    private readonly long _denseBytes;
    private readonly long _expertBytes;

    /// <param name="store">The model.</param>
    /// <param name="precision">Which of the two heads is read.</param>
    public ModelTraffic(ModelStore store, Precision precision)
    {
        var config = store.Config;
        _denseBytes = store.DenseLayout.Tensors.Where(tensor => IsReadEveryStep(tensor, precision)).Sum(tensor => tensor.WeightBytes + tensor.ScaleBytes);
        _expertBytes = store.ExpertLayout.Bytes(0, store.ExpertLayout.Blocks.Count);
        PrefillOperationsPerToken = 2.0 * config.LayerCount * config.EmbeddingDim
            * (2.0 * (config.QueryDim + config.KeyValueDim) + 3.0 * config.ExpertsPerToken * config.FeedForwardDim);
    }

    /// <summary>Multiplications and additions of a prompt token in the products of the layers; the head is left out, which only the last token needs.</summary>
    public double PrefillOperationsPerToken { get; }

    /// <summary>Weights and scales that a step reads once, whatever its rows.</summary>
    /// <param name="expertsTouched">Distinct experts of all layers together.</param>
    public double StepBytes(double expertsTouched) => _denseBytes + expertsTouched * _expertBytes;

    /// <summary>Of the embedding a step reads a few rows; the head is the table itself in exact mode, its packed copy in fast.</summary>
    private static bool IsReadEveryStep(DenseTensor tensor, Precision precision) =>
        tensor.Role != TensorRole.Embedding || tensor.IsPacked == (precision == Precision.Fast);
}
