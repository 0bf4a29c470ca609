using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>Tables that are made once and stay in device memory, each aligned to 64 bytes.</summary>
internal sealed unsafe class DeviceTable
{
    private const int Alignment = 64;
    private readonly List<byte> _bytes = [];

    /// <returns>Where the table will be, in bytes from the buffer's start.</returns>
    public int Add<T>(ReadOnlySpan<T> table)
        where T : unmanaged
    {
        var at = _bytes.Count;
        _bytes.AddRange(MemoryMarshal.AsBytes(table));
        while (_bytes.Count % Alignment != 0)
            _bytes.Add(0);
        return at;
    }

    public IDeviceBuffer Upload(IKernelDevice device, IKernelStream stream)
    {
        using var pinned = device.AllocatePinned(_bytes.Count);
        CollectionsMarshal.AsSpan(_bytes).CopyTo(new Span<byte>((void*)pinned.Address, _bytes.Count));
        var buffer = device.Allocate(_bytes.Count);
        stream.CopyToDevice(buffer.Address, pinned.Address, _bytes.Count);
        stream.Synchronize();
        return buffer;
    }
}
