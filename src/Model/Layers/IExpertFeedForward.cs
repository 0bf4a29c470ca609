using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>One tile's share of a call: a run of the call's (row, gate) pairs.</summary>
/// <param name="Tile">The weights.</param>
/// <param name="First">First pair.</param>
/// <param name="Count">Pairs, at least 1.</param>
public readonly record struct TileWork(ExpertTile Tile, int First, int Count);

/// <summary>
/// The seam behind which a device computes experts: <c>(gelu_tanh(x Wgate) * (x Wup)) Wdown</c> over the hidden columns of
/// a tile (xAI's <c>MoELayer</c> and <c>DenseBlock</c>). Not for concurrent use.
/// </summary>
public interface IExpertFeedForward : IDisposable
{
    /// <summary>
    /// Adds gated results: for each work item in order and each of its pairs i,
    /// <c>sum[rows[i]] = fma(gates[i], ffn(tile, x[rows[i]]), sum[rows[i]])</c>. A row's bits do not depend on the others.
    /// </summary>
    /// <param name="work">The tiles, in the order of the sum.</param>
    /// <param name="x">Rows of activations over EmbeddingDim.</param>
    /// <param name="rows">Rows of <paramref name="x"/> and <paramref name="sum"/>, pair by pair.</param>
    /// <param name="gates">The router's probability of each pair.</param>
    /// <param name="sum">[x.Rows, EmbeddingDim] float32.</param>
    unsafe void Accumulate(ReadOnlySpan<TileWork> work, Activations x, ReadOnlySpan<int> rows, ReadOnlySpan<float> gates, float* sum);
}
