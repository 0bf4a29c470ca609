using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>The processor.</summary>
/// <param name="config">The model.</param>
/// <param name="pool">Where the work runs; not disposed.</param>
/// <param name="exact">float32 throughout, or int8 activation blocks.</param>
/// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
public sealed class CpuDenseDevice(Grok1Config config, ComputePool pool, bool exact, KvFormat? kvFormat) : IDenseDevice
{
    public string Description => $"CPU, {pool.Threads} threads";

    public long KvBlockBytes => (long)new KvBlockLayout(config.KeyValueHeadCount, config.HeadDim, kvFormat ?? KvBlockLayout.FormatFor(exact)).BlockBytes * config.LayerCount;

    public long Place(DenseLayout layout, long kvBytes) => kvBytes;

    public IDenseLayers CreateLayers(DenseWeights weights, ExpertLayout experts) => new CpuDenseLayers(config, weights, pool, exact, kvFormat);

    public void Dispose()
    {
    }
}
