using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>Device or pinned memory.</summary>
internal sealed class CudaBuffer(CudaHandle handle, long bytes) : IDeviceBuffer
{
    public nint Address => handle.Value;

    public long Bytes => bytes;

    public void Dispose() => handle.Dispose();
}

/// <summary>A recorded point of a stream.</summary>
internal sealed class CudaEvent(CudaContext context, EventHandle handle) : IKernelEvent
{
    public nint Handle => handle.Value;

    public void Wait()
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuEventSynchronize(Handle), "wait for the GPU");
    }

    public TimeSpan Since(IKernelEvent earlier)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuEventElapsedTime(out var milliseconds, ((CudaEvent)earlier).Handle, Handle), "read the GPU's clock");
        return TimeSpan.FromMilliseconds(milliseconds);
    }

    public void Dispose() => handle.Dispose();
}

/// <summary>An instantiated graph.</summary>
internal sealed class CudaGraph(GraphHandle handle) : IKernelGraph
{
    public nint Handle => handle.Value;

    public void Dispose() => handle.Dispose();
}
