using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Forward;

/// <summary>
/// A part of a step's rows with its own residual stream and its own place on the way to the experts. While the experts of one
/// part are away the coordinator computes another part. Reused from step to step.
/// </summary>
internal sealed class MicroBatch(Grok1Config config, ExpertBatch experts) : IDisposable
{
    private readonly TokenBatch _own = new();
    private NativeBuffer<float> _residual = new(0);

    public TokenBatch Tokens { get; private set; } = null!;

    /// <summary>The step's row that is this part's first.</summary>
    public int FirstRow { get; private set; }

    public ExpertBatch Experts => experts;

    /// <summary>[rows, EmbeddingDim] float32.</summary>
    public NativeBuffer<float> Residual => _residual;

    /// <summary>Takes all rows of a step.</summary>
    public void Take(TokenBatch step)
    {
        (Tokens, FirstRow) = (step, 0);
        Resize();
    }

    /// <summary>Takes rows [first, end) of a step.</summary>
    public void Take(TokenBatch step, int first, int end)
    {
        _own.Clear();
        _own.AddRows(step, first, end);
        (Tokens, FirstRow) = (_own, first);
        Resize();
    }

    public Span<float> ResidualRow(int row) => _residual.Slice((long)row * config.EmbeddingDim, config.EmbeddingDim);

    public void Dispose()
    {
        experts.Dispose();
        _residual.Dispose();
    }

    private void Resize()
    {
        var length = (long)Tokens.Rows * config.EmbeddingDim;
        if (length <= _residual.Length)
            return;
        _residual.Dispose();
        _residual = new NativeBuffer<float>(2 * length);
    }
}
