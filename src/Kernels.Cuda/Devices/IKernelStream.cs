namespace Grok1Cluster.Kernels.Cuda.Devices;

/// <summary>Blocks of a launch along each axis.</summary>
public readonly record struct Grid(int X, int Y = 1, int Z = 1);

/// <summary>
/// Work on a device, done in order and in the background. Not for concurrent use. Addresses are of buffers of the stream's
/// device; what a call names must live until the work is done.
/// </summary>
public interface IKernelStream : IDisposable
{
    /// <param name="device">Target, device memory.</param>
    /// <param name="host">Source, pinned where the copy must not hold up the host.</param>
    /// <param name="bytes">Bytes.</param>
    void CopyToDevice(nint device, nint host, long bytes);

    /// <param name="host">Target.</param>
    /// <param name="device">Source.</param>
    /// <param name="bytes">Bytes.</param>
    void CopyToHost(nint host, nint device, long bytes);

    /// <summary>From device memory to device memory.</summary>
    void CopyOnDevice(nint target, nint source, long bytes);

    /// <param name="kernel">Takes one struct by value.</param>
    /// <param name="grid">Blocks; nothing happens if one of them is 0.</param>
    /// <param name="threads">Of a block.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    /// <param name="parameters">The struct, laid out as the kernel's.</param>
    void Launch<T>(IKernel kernel, Grid grid, int threads, int sharedBytes, in T parameters)
        where T : unmanaged;

    void Record(IKernelEvent kernelEvent);

    /// <summary>What follows waits for an event that another stream recorded.</summary>
    void WaitFor(IKernelEvent kernelEvent);

    /// <summary>Blocks until everything is done.</summary>
    /// <exception cref="CudaException">A kernel failed.</exception>
    void Synchronize();

    /// <summary>Records what <paramref name="work"/> puts into this stream, without doing it.</summary>
    IKernelGraph Capture(Action work);

    void Run(IKernelGraph graph);
}
