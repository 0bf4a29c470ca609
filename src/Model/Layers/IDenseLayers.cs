using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Layers;

/// <summary>
/// The seam behind which a device computes the coordinator's part of the model: embedding, attention with the norms around it, router,
/// residual stream, head. It owns the format of the KV memory and the place where that and the residual stream are. Not for concurrent use.
/// </summary>
public interface IDenseLayers : IDisposable
{
    /// <summary>Bytes of one KV block: keys and values of 32 positions in all layers.</summary>
    long KvBlockBytes { get; }

    /// <summary>Memory for KV blocks, where this object computes; freed before this object is.</summary>
    IKvMemory AllocateKv(long bytes);

    /// <summary>A residual stream of its own rows; disposed before this object.</summary>
    IResidualStream CreateStream();

    /// <summary>The head (xAI's <c>InOutEmbed.decode</c> behind the last norm): <c>logits = RmsNorm(h) embedding^T * OutputMultiplier</c>.</summary>
    /// <param name="rows">Rows of this object's streams, behind their last layer.</param>
    /// <param name="logits">[rows.Length, VocabularySize] float32, overwritten.</param>
    void Logits(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits);
}

/// <summary>A row of a residual stream.</summary>
public readonly record struct ResidualRow(IResidualStream Stream, int Row);
