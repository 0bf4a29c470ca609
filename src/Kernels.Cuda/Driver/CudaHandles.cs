using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>
/// A thing of the driver that belongs to a context. The context stays retained until the last of its handles is gone, and
/// is made current before the thing is freed, whichever thread frees it.
/// </summary>
internal abstract class CudaHandle : SafeHandle
{
    private readonly CudaContext _context;
    private readonly bool _retained;

    protected CudaHandle(CudaContext context, nint value)
        : base(0, ownsHandle: true)
    {
        _context = context;
        context.DangerousAddRef(ref _retained);
        SetHandle(value);
    }

    public override bool IsInvalid => handle == 0;

    public nint Value => IsClosed ? throw new ObjectDisposedException(GetType().Name) : handle;

    protected abstract int Free(nint value);

    protected override bool ReleaseHandle()
    {
        _context.MakeCurrent();
        var freed = Free(handle) == 0;
        if (_retained)
            _context.DangerousRelease();
        return freed;
    }
}

/// <summary>A device's primary context, shared with whatever else this process does on it.</summary>
internal sealed class CudaContext : SafeHandle
{
    private readonly int _device;

    public CudaContext(int device)
        : base(0, ownsHandle: true)
    {
        _device = device;
        CudaDriver.Check(CudaDriver.cuDevicePrimaryCtxRetain(out var context, device), "open the GPU");
        SetHandle(context);
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>For the calling thread.</summary>
    public void MakeCurrent() => CudaDriver.cuCtxSetCurrent(handle);

    protected override bool ReleaseHandle() => CudaDriver.cuDevicePrimaryCtxRelease_v2(_device) == 0;
}

internal sealed class StreamHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuStreamDestroy_v2(value);
}

internal sealed class EventHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuEventDestroy_v2(value);
}

internal sealed class ModuleHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuModuleUnload(value);
}

internal sealed class GraphHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuGraphExecDestroy(value);
}

internal sealed class DeviceMemoryHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuMemFree_v2(value);
}

internal sealed class PinnedMemoryHandle(CudaContext context, nint value) : CudaHandle(context, value)
{
    protected override int Free(nint value) => CudaDriver.cuMemFreeHost(value);
}
