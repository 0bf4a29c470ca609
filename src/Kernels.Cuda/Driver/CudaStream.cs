using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>A stream of the driver that waits for no other.</summary>
internal sealed unsafe class CudaStream(CudaContext context, StreamHandle handle) : IKernelStream
{
    public void CopyToDevice(nint device, nint host, long bytes)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemcpyHtoDAsync_v2(device, host, (nuint)bytes, handle.Value), $"copy {bytes} bytes to the GPU");
    }

    public void CopyToHost(nint host, nint device, long bytes)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemcpyDtoHAsync_v2(host, device, (nuint)bytes, handle.Value), $"copy {bytes} bytes from the GPU");
    }

    public void CopyOnDevice(nint target, nint source, long bytes)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemcpyDtoDAsync_v2(target, source, (nuint)bytes, handle.Value), $"copy {bytes} bytes on the GPU");
    }

    public void Launch<T>(IKernel kernel, Grid grid, int threads, int sharedBytes, in T parameters)
        where T : unmanaged
    {
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0)
            return;
        var cuda = (CudaKernel)kernel;
        context.MakeCurrent();
        cuda.AllowShared(sharedBytes);
        fixed (T* value = &parameters)
        {
            void* argument = value;
            CudaDriver.Check(
                CudaDriver.cuLaunchKernel(cuda.Function, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)threads, 1, 1, (uint)sharedBytes, handle.Value, &argument, null),
                $"launch the kernel {cuda.Name} with {grid.X} x {grid.Y} x {grid.Z} blocks of {threads} threads");
        }
    }

    public void Record(IKernelEvent kernelEvent)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuEventRecord(((CudaEvent)kernelEvent).Handle, handle.Value), "record an event");
    }

    public void WaitFor(IKernelEvent kernelEvent)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuStreamWaitEvent(handle.Value, ((CudaEvent)kernelEvent).Handle, 0), "wait for an event");
    }

    public void Synchronize()
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuStreamSynchronize(handle.Value), "finish the work on the GPU");
    }

    public IKernelGraph Capture(Action work)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuStreamBeginCapture_v2(handle.Value, CudaDriver.RelaxedCapture), "begin to record a graph");
        nint graph;
        try
        {
            work();
        }
        catch
        {
            if (CudaDriver.cuStreamEndCapture(handle.Value, out graph) == 0)
                CudaDriver.cuGraphDestroy(graph);
            throw;
        }
        CudaDriver.Check(CudaDriver.cuStreamEndCapture(handle.Value, out graph), "record a graph");
        var result = CudaDriver.cuGraphInstantiateWithFlags(out var executable, graph, 0);
        CudaDriver.cuGraphDestroy(graph);
        CudaDriver.Check(result, "make a graph executable");
        return new CudaGraph(new GraphHandle(context, executable));
    }

    public void Run(IKernelGraph graph)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuGraphLaunch(((CudaGraph)graph).Handle, handle.Value), "launch a graph");
    }

    public void Dispose() => handle.Dispose();
}
