using Grok1Cluster.Kernels.Cuda.Compiler;
using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>An NVIDIA GPU by its driver.</summary>
public sealed unsafe class CudaDevice : IKernelDevice
{
    private readonly CudaContext _context;
    private readonly KernelCompiler _compiler;

    private CudaDevice(CudaDeviceInfo info, CudaContext context, KernelCompiler compiler)
    {
        (Info, _context, _compiler) = (info, context, compiler);
        KernelId = $"cuda-sm{info.Architecture}/{CpuFeatures.KernelVersion}";
    }

    public CudaDeviceInfo Info { get; }

    public string Name => Info.Name;

    public string KernelId { get; }

    public long FreeMemory => Memory().Free;

    public long TotalMemory => Memory().Total;

    /// <summary>Opens a device and the kernel compiler.</summary>
    /// <param name="ordinal">The driver's number of it.</param>
    /// <param name="cacheDirectory">Where compiled kernels are kept; created when needed.</param>
    /// <exception cref="CudaException">The driver, the device or NVRTC is missing; it names which.</exception>
    public static CudaDevice Open(int ordinal, string cacheDirectory)
    {
        var devices = CudaSystem.Devices();
        if (ordinal < 0 || ordinal >= devices.Count)
            throw new CudaException($"there is no cuda:{ordinal}: this machine has {(devices.Count == 0 ? "no NVIDIA GPU" : $"cuda:0 to cuda:{devices.Count - 1}")}; grok1 doctor lists what it found");
        var info = devices[ordinal];
        if (info.Architecture < CudaDeviceInfo.LeastArchitecture)
            throw new CudaException($"cuda:{ordinal} ({info.Name}) has compute capability {info.Architecture / 10}.{info.Architecture % 10}; 7.5 and later are supported");
        var compiler = KernelCompiler.Open(cacheDirectory);
        return new CudaDevice(info, new CudaContext(info.Handle), compiler);
    }

    public IDeviceBuffer Allocate(long bytes)
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemAlloc_v2(out var address, (nuint)Math.Max(bytes, 1)), $"allocate {bytes} bytes on {Name}");
        return new CudaBuffer(new DeviceMemoryHandle(_context, address), bytes);
    }

    public IDeviceBuffer AllocatePinned(long bytes)
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemHostAlloc(out var address, (nuint)Math.Max(bytes, 1), CudaDriver.PortableHostMemory), $"allocate {bytes} bytes of pinned host memory");
        return new CudaBuffer(new PinnedMemoryHandle(_context, address), bytes);
    }

    public IKernelStream CreateStream()
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuStreamCreate(out var stream, CudaDriver.NonBlockingStream), $"create a stream on {Name}");
        return new CudaStream(_context, new StreamHandle(_context, stream));
    }

    public IKernelEvent CreateEvent()
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuEventCreate(out var created, 0), $"create an event on {Name}");
        return new CudaEvent(_context, new EventHandle(_context, created));
    }

    public IKernelModule Load(string file)
    {
        var image = _compiler.Compile(file, Info.Architecture);
        _context.MakeCurrent();
        fixed (byte* start = image)
        {
            CudaDriver.Check(CudaDriver.cuModuleLoadData(out var module, start), $"load the kernels of {file} on {Name}");
            return new CudaModule(file, _context, new ModuleHandle(_context, module));
        }
    }

    /// <summary>Blocks until all of this process's work on the device is done, that of other libraries included.</summary>
    public void Synchronize()
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuCtxSynchronize(), $"finish the work on {Name}");
    }

    public void Dispose() => _context.Dispose();

    private (long Free, long Total) Memory()
    {
        _context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuMemGetInfo_v2(out var free, out var total), $"ask {Name} for its free memory");
        return ((long)free, (long)total);
    }
}
