using Grok1Cluster.Kernels;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>The processor.</summary>
/// <param name="pool">Where the work runs; not disposed.</param>
/// <param name="layout">The experts' layout.</param>
/// <param name="bytes">Bytes of the tiles.</param>
public sealed class CpuExpertDevice(ComputePool pool, ExpertLayout layout, long bytes) : IExpertDevice
{
    public string KernelId => CpuFeatures.KernelId;

    public long HostBytes => bytes;

    public string Description => $"CPU, {pool.Threads} threads";

    public MachineSpeed? MeasureSpeed(long weightBytes) => MachineSpeed.Measure(pool, weightBytes);

    public IExpertFeedForward Create(ActivationFormat format) => new CpuExpertFeedForward(pool, layout, format);

    public void Dispose()
    {
    }
}
