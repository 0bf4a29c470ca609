using Grok1Cluster.Kernels.Cuda.Devices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>Loaded kernels of one file.</summary>
internal sealed class CudaModule(string file, CudaContext context, ModuleHandle handle) : IKernelModule
{
    public IKernel Find(string name)
    {
        context.MakeCurrent();
        CudaDriver.Check(CudaDriver.cuModuleGetFunction(out var function, handle.Value, name), $"find the kernel {name} in {file}");
        return new CudaKernel(name, function);
    }

    public void Dispose() => handle.Dispose();
}

/// <summary>A kernel of a loaded module.</summary>
internal sealed class CudaKernel(string name, nint function) : IKernel
{
    /// <summary>Shared memory that every device gives a block without being asked.</summary>
    private const int DefaultSharedBytes = 48 << 10;

    private int _sharedBytes = DefaultSharedBytes;

    public string Name => name;

    public nint Function => function;

    /// <summary>Asks for more dynamic shared memory than a block gets by default.</summary>
    public void AllowShared(int bytes)
    {
        if (bytes <= _sharedBytes)
            return;
        CudaDriver.Check(CudaDriver.cuFuncSetAttribute(function, CudaDriver.MaxDynamicSharedSize, bytes), $"give the kernel {name} {bytes} bytes of shared memory");
        _sharedBytes = bytes;
    }
}
