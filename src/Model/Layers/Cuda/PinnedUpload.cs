using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// Two pinned buffers, each with as much device memory, that take turns: the host fills one while the device copies and repacks the other.
/// For each piece <see cref="Next"/>, <see cref="Send"/>, what reads it on <see cref="Stream"/>, and <see cref="Sent"/>. Not for concurrent use.
/// </summary>
internal sealed class PinnedUpload : IDisposable
{
    private const int Slots = 2;
    private readonly IDeviceBuffer[] _pinned = new IDeviceBuffer[Slots];
    private readonly IDeviceBuffer[] _raw = new IDeviceBuffer[Slots];
    private readonly IKernelEvent[] _done = new IKernelEvent[Slots];
    private readonly bool[] _used = new bool[Slots];
    private int _slot;

    /// <param name="device">The device.</param>
    /// <param name="bytes">Of the largest piece.</param>
    public PinnedUpload(IKernelDevice device, long bytes)
    {
        Bytes = bytes;
        Stream = device.CreateStream();
        for (var slot = 0; slot < Slots; slot++)
            (_pinned[slot], _raw[slot], _done[slot]) = (device.AllocatePinned(bytes), device.Allocate(bytes), device.CreateEvent());
    }

    /// <summary>Where everything is done: what waits for it has all that was sent.</summary>
    public IKernelStream Stream { get; }

    /// <summary>Most bytes of a piece.</summary>
    public long Bytes { get; }

    /// <summary>Waits until a buffer is free.</summary>
    /// <returns>Its host address, to be filled.</returns>
    public nint Next()
    {
        if (_used[_slot])
            _done[_slot].Wait();
        return _pinned[_slot].Address;
    }

    /// <summary>Copies what was filled.</summary>
    /// <returns>Where it is on the device, for what follows on the stream.</returns>
    public nint Send(long bytes)
    {
        Stream.CopyToDevice(_raw[_slot].Address, _pinned[_slot].Address, bytes);
        return _raw[_slot].Address;
    }

    /// <summary>Everything that reads the piece is on the stream.</summary>
    public void Sent()
    {
        Stream.Record(_done[_slot]);
        _used[_slot] = true;
        _slot = (_slot + 1) % Slots;
    }

    public void Dispose()
    {
        Stream.Synchronize();
        foreach (var owned in _pinned.Concat<IDisposable>(_raw).Concat(_done).Append(Stream))
            owned.Dispose();
    }
}
