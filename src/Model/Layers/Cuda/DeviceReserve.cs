using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Memory of a device that is left alone: activations, tables, and what the driver takes when kernels are loaded.</summary>
internal static class DeviceReserve
{
    private const long Bytes = 768L << 20;

    /// <summary>Of small devices at most this share.</summary>
    private const int Share = 8;

    public static long Of(IKernelDevice device) => Math.Min(Bytes, device.TotalMemory / Share);
}
