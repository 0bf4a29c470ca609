using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Pinned memory and device memory of the same layout: a call's tables and rows are written to the one and reach the other in
/// one copy. Grows by doubling.
/// </summary>
internal sealed unsafe class StagingBuffer(IKernelDevice device) : IDisposable
{
    private const int Alignment = 256;
    private IDeviceBuffer? _pinned;
    private IDeviceBuffer? _device;

    /// <summary>Bytes laid out since <see cref="Begin"/>.</summary>
    public long Used { get; private set; }

    public nint Host => _pinned?.Address ?? 0;

    public nint Device => _device?.Address ?? 0;

    public void Begin() => Used = 0;

    /// <summary>Lays out room for <paramref name="count"/> elements.</summary>
    /// <returns>Its offset.</returns>
    public long Reserve<T>(long count)
        where T : unmanaged
    {
        var at = Used;
        Used = (at + count * Unsafe.SizeOf<T>() + Alignment - 1) / Alignment * Alignment;
        return at;
    }

    /// <summary>Makes both sides large enough; nothing may be under way.</summary>
    /// <returns>Whether addresses changed.</returns>
    public bool Commit()
    {
        if (_pinned is not null && Used <= _pinned.Bytes)
            return false;
        var bytes = Math.Max(Used, 2 * (_pinned?.Bytes ?? 0));
        Dispose();
        _pinned = device.AllocatePinned(bytes);
        _device = device.Allocate(bytes);
        return true;
    }

    /// <summary>The host's side of an offset.</summary>
    public Span<T> At<T>(long offset, int count)
        where T : unmanaged => new((void*)(Host + (nint)offset), count);

    public void Dispose()
    {
        _pinned?.Dispose();
        _device?.Dispose();
        (_pinned, _device) = (null, null);
    }
}
