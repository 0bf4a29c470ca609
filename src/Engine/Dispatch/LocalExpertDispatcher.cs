using Grok1Cluster.Model.Layers;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Engine.Dispatch;

/// <summary>All experts in this process: no worker, no wire. A layer is one bundle of whole experts.</summary>
public sealed class LocalExpertDispatcher : IExpertDispatcher
{
    private readonly ModelStore _store;
    private readonly ExpertTile[][] _layers;
    private readonly IExpertFeedForward _feedForward;
    private readonly BundleExecutor _executor;

    /// <param name="store">Must hold every expert.</param>
    /// <param name="feedForward">Computes; disposed with this object.</param>
    /// <exception cref="Model.ModelException">An expert is not held.</exception>
    public LocalExpertDispatcher(ModelStore store, IExpertFeedForward feedForward)
    {
        (_store, _feedForward) = (store, feedForward);
        _executor = new BundleExecutor(feedForward);
        var config = store.Config;
        _layers = [.. Enumerable.Range(0, config.LayerCount).Select(layer =>
            Enumerable.Range(0, config.ExpertCount).Select(expert => store.OpenTile(new ExpertSlice(layer, expert, 0, config.FeedForwardDim))).ToArray())];
    }

    /// <summary>Brings every expert into memory and checks it there, as workers do.</summary>
    /// <param name="memory">How.</param>
    /// <param name="loaded">Told of the bytes of each tile, by several threads; null: nobody is.</param>
    /// <exception cref="Model.ModelException">A file cannot be read, or a block is another than the manifest says.</exception>
    /// <exception cref="Model.ResourceException">The system does not allow so much locked memory.</exception>
    /// <exception cref="OperationCanceledException">Cancelled on the way.</exception>
    public void Load(WeightMemory memory, Action<long>? loaded, CancellationToken cancel) => WeightLoading.LoadAll(_layers.SelectMany(tiles => tiles), memory, _store.CheckTile, loaded, cancel);

    public unsafe void Dispatch(ExpertBatch batch, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        _executor.Run(_layers[batch.Layer], batch.Input, batch.Experts, batch.Gates, batch.Sum);
    }

    public void Combine(ExpertBatch batch, CancellationToken cancel)
    {
    }

    public void Abandon()
    {
    }

    public ValueTask DisposeAsync()
    {
        foreach (var tile in _layers.SelectMany(tiles => tiles))
            tile.Dispose();
        _feedForward.Dispose();
        return ValueTask.CompletedTask;
    }
}
