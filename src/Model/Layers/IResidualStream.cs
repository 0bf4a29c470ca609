using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// The residual stream h of some rows on their way through the layers, float32, where a device keeps it. For each layer
/// <see cref="Forward"/>, and when the experts have answered <see cref="AddExperts"/>; other streams may take their turns between the two.
/// </summary>
public interface IResidualStream : IDisposable
{
    /// <summary>Begins a step: h = embedding * EmbeddingMultiplier.</summary>
    /// <param name="batch">The rows and where their KV blocks are; not changed before the step's last call.</param>
    void Begin(TokenBatch batch);

    /// <summary>
    /// Stores the rows' keys and values and adds the layer's attention (xAI's <c>MultiHeadAttention</c> with the norms around it),
    /// <c>h += RmsNorm(Attention(RmsNorm(h)))</c>; then the router (xAI's <c>Router</c>) chooses experts for RmsNorm(h).
    /// </summary>
    /// <param name="layer">The layer.</param>
    /// <param name="input">[batch.Rows] overwritten with what the experts take: RmsNorm(h), quantised once in its int8 format.</param>
    /// <param name="experts">[batch.Rows, ExpertsPerToken], overwritten, best first.</param>
    /// <param name="gates">The same of their probabilities, not renormalised.</param>
    void Forward(int layer, Activations input, Span<int> experts, Span<float> gates);

    /// <summary>Adds the answers of the layer's experts: <c>h += RmsNorm(sum)</c>.</summary>
    /// <param name="sum">[batch.Rows, EmbeddingDim] float32; not needed after the call.</param>
    unsafe void AddExperts(float* sum);
}
