using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// The seam behind which a device computes a layer's attention (xAI's <c>MultiHeadAttention</c> with the norms around it):
/// <c>h += RmsNorm(Attention(RmsNorm(h)))</c>. It owns the format of
/// the KV memory and the place where that is. Not for concurrent use.
/// </summary>
public interface ILayerAttention : IDisposable
{
    /// <summary>Bytes of one KV block: keys and values of 32 positions in all layers.</summary>
    long KvBlockBytes { get; }

    /// <summary>Memory for KV blocks, where this object computes; freed before this object is.</summary>
    IKvMemory AllocateKv(long bytes);

    /// <summary>Stores the rows' keys and values and adds the layer's attention to the residual stream.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="batch">The rows and where their KV blocks are.</param>
    /// <param name="residual">[batch.Rows, EmbeddingDim] float32, updated.</param>
    void Forward(int layer, TokenBatch batch, NativeBuffer<float> residual);
}
