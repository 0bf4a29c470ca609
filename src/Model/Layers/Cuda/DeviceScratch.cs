using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Device memory that grows by doubling and does not keep what it held.</summary>
internal sealed class DeviceScratch(IKernelDevice device) : IDisposable
{
    private IDeviceBuffer? _buffer;

    public nint Address => _buffer?.Address ?? 0;

    /// <summary>Makes room; nothing may be under way.</summary>
    /// <returns>Whether the address changed.</returns>
    public bool Resize(long bytes)
    {
        if (_buffer is not null && bytes <= _buffer.Bytes)
            return false;
        var size = Math.Max(bytes, 2 * (_buffer?.Bytes ?? 0));
        Dispose();
        _buffer = device.Allocate(size);
        return true;
    }

    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }
}
