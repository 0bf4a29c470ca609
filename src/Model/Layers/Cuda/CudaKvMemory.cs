using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>KV blocks in device memory.</summary>
internal sealed class CudaKvMemory(IDeviceBuffer buffer) : IKvMemory
{
    public nint Address => buffer.Address;

    public void Dispose() => buffer.Dispose();
}
