using Grok1Cluster.Engine.Dispatch;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Forward;

/// <summary>
/// A part of a step's rows with its own residual stream and its own place on the way to the experts. While the experts of one
/// part are away the coordinator computes another part. Reused from step to step.
/// </summary>
internal sealed class MicroBatch(IResidualStream residual, ExpertBatch experts) : IDisposable
{
    private readonly TokenBatch _own = new();

    public TokenBatch Tokens { get; private set; } = null!;

    /// <summary>The step's row that is this part's first.</summary>
    public int FirstRow { get; private set; }

    public ExpertBatch Experts => experts;

    public IResidualStream Residual => residual;

    /// <summary>Takes all rows of a step.</summary>
    public void Take(TokenBatch step) => (Tokens, FirstRow) = (step, 0);

    /// <summary>Takes rows [first, end) of a step.</summary>
    public void Take(TokenBatch step, int first, int end)
    {
        _own.Clear();
        _own.AddRows(step, first, end);
        (Tokens, FirstRow) = (_own, first);
    }

    public void Dispose()
    {
        experts.Dispose();
        residual.Dispose();
    }
}
