using Grok1Cluster.Kernels;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>The processor.</summary>
/// <param name="pool">Where the work runs; not disposed.</param>
/// <param name="layout">The experts' layout.</param>
public sealed class CpuExpertDevice(ComputePool pool, ExpertLayout layout) : IExpertDevice
{
    public string KernelId => CpuFeatures.KernelId;

    public long Room => 0;

    public string Description => $"CPU, {pool.Threads} threads";

    public MachineSpeed? MeasureSpeed(long weightBytes, IReadOnlyList<ExpertTile> loaded) => MachineSpeed.Measure(pool, weightBytes, loaded);

    public IReadOnlyList<ExpertTile> Hold(IReadOnlyList<ExpertTile> tiles, CancellationToken cancel) => [];

    public void Release(IReadOnlyCollection<(int Layer, int Expert, int Block)> blocks)
    {
    }

    public IReadOnlyList<IDisposable> GivenUp() => [];

    public IExpertFeedForward Create(ActivationFormat format) => new CpuExpertFeedForward(pool, layout, format);

    public void Dispose()
    {
    }
}
