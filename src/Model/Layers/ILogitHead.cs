using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// The seam behind which a device computes the head (xAI's <c>InOutEmbed.decode</c> behind the last norm):
/// <c>logits = RmsNorm(h) embedding^T * OutputMultiplier</c>. Not for concurrent use.
/// </summary>
public interface ILogitHead : IDisposable
{
    /// <param name="residual">[rows, EmbeddingDim] float32.</param>
    /// <param name="rows">Rows that want logits.</param>
    /// <param name="logits">[rows.Length, VocabularySize] float32, overwritten.</param>
    void Run(NativeBuffer<float> residual, ReadOnlySpan<int> rows, NativeBuffer<float> logits);
}
