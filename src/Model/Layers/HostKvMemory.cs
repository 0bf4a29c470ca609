using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Model.Layers;

/// <summary>KV blocks in the host's memory, reserved at once and committed by the system as blocks are first used.</summary>
/// <param name="bytes">Bytes.</param>
public sealed unsafe class HostKvMemory(long bytes) : IKvMemory
{
    private readonly NativeBuffer<byte> _memory = new(bytes);

    public nint Address => (nint)_memory.Pointer;

    public void Dispose() => _memory.Dispose();
}
