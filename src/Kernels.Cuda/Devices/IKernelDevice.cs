namespace Grok1Cluster.Kernels.Cuda.Devices;

/// <summary>
/// The launch interface: what the kernels' callers need of a device. Behind it stand the CUDA driver and, in tests, an
/// emulator that runs the same kernel texts on the CPU.
/// </summary>
public interface IKernelDevice : IDisposable
{
    /// <summary>As the maker calls it.</summary>
    string Name { get; }

    /// <summary>Names the class of device behind the kernels, as <see cref="CpuFeatures.KernelId"/> does for a processor.</summary>
    string KernelId { get; }

    /// <summary>Bytes of device memory that nobody uses.</summary>
    long FreeMemory { get; }

    /// <summary>Bytes of device memory.</summary>
    long TotalMemory { get; }

    /// <summary>Device memory, aligned to 256 bytes; its content is undefined.</summary>
    /// <exception cref="CudaException">There is not enough.</exception>
    IDeviceBuffer Allocate(long bytes);

    /// <summary>Host memory that the device copies from and to without the host's help.</summary>
    /// <exception cref="CudaException">The system gives no more.</exception>
    IDeviceBuffer AllocatePinned(long bytes);

    IKernelStream CreateStream();

    IKernelEvent CreateEvent();

    /// <summary>Compiles a kernel file, or finds it compiled.</summary>
    /// <param name="file">One of <see cref="KernelSources.Files"/>.</param>
    /// <exception cref="CudaException">The compiler is missing, or does not take the file.</exception>
    IKernelModule Load(string file);
}

/// <summary>Memory of a device, or pinned memory of the host. Freed on <see cref="IDisposable.Dispose"/>.</summary>
public interface IDeviceBuffer : IDisposable
{
    nint Address { get; }

    long Bytes { get; }
}

/// <summary>Compiled kernels of one file.</summary>
public interface IKernelModule : IDisposable
{
    /// <summary>A kernel by its name.</summary>
    /// <exception cref="CudaException">The file has no such kernel.</exception>
    IKernel Find(string name);
}

/// <summary>A compiled kernel of a module.</summary>
public interface IKernel;

/// <summary>A point in a stream's work that other streams, or the host, can wait for.</summary>
public interface IKernelEvent : IDisposable
{
    /// <summary>Blocks until the work before the last <see cref="IKernelStream.Record"/> is done.</summary>
    void Wait();

    /// <summary>Time from an earlier event to this one, both recorded and done.</summary>
    TimeSpan Since(IKernelEvent earlier);
}

/// <summary>Work that a stream recorded, launched again as one.</summary>
public interface IKernelGraph : IDisposable;
