using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Model.Checkpoints;

/// <summary>What follows from a <see cref="TensorRole"/> and a config alone, for every checkpoint format.</summary>
public static class TensorRoles
{
    /// <summary>Whether each layer has such a tensor; the other roles occur once.</summary>
    public static bool IsPerLayer(this TensorRole role) => role is not (TensorRole.Embedding or TensorRole.FinalNorm);

    /// <summary>Whether the official checkpoint stores it as int8 with scales; the others are float32.</summary>
    public static bool IsQuantized(this TensorRole role) =>
        role is TensorRole.ExpertGate or TensorRole.ExpertDown or TensorRole.ExpertUp
            or TensorRole.Key or TensorRole.AttentionOutput or TensorRole.Query or TensorRole.Value;

    /// <summary>
    /// Row-major shape; a matrix is [in, out] as in <c>y = x W</c>, expert matrices have the expert in front, the embedding is
    /// [VocabularySize, EmbeddingDim], norms are [EmbeddingDim].
    /// </summary>
    public static long[] Shape(this TensorRole role, Grok1Config config) => role switch
    {
        TensorRole.Embedding => [config.VocabularySize, config.EmbeddingDim],
        TensorRole.ExpertGate or TensorRole.ExpertUp => [config.ExpertCount, config.EmbeddingDim, config.FeedForwardDim],
        TensorRole.ExpertDown => [config.ExpertCount, config.FeedForwardDim, config.EmbeddingDim],
        TensorRole.Key or TensorRole.Value => [config.EmbeddingDim, config.KeyValueDim],
        TensorRole.Query => [config.EmbeddingDim, config.QueryDim],
        TensorRole.AttentionOutput => [config.QueryDim, config.EmbeddingDim],
        TensorRole.Router => [config.EmbeddingDim, config.ExpertCount],
        _ => [config.EmbeddingDim],
    };

    /// <summary>A name for messages, for example <c>ExpertDown of layer 3</c>.</summary>
    public static string Describe(this TensorRole role, int layer) => role.IsPerLayer() ? $"{role} of layer {layer}" : role.ToString();
}
