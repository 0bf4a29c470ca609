using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>
/// The functions of the CUDA driver API that are used (libcuda.so.1, from CUDA 11.4 on), by their names in the library, and
/// errors as exceptions.
/// </summary>
internal static unsafe partial class CudaDriver
{
    public const int ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76, MultiprocessorCount = 16;
    public const int MaxDynamicSharedSize = 8;
    public const uint NonBlockingStream = 1, PortableHostMemory = 1;
    public const int RelaxedCapture = 2;
    private const int OutOfMemory = 2;

    [LibraryImport(CudaLibraries.Driver)] public static partial int cuInit(uint flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDriverGetVersion(out int version);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDeviceGetCount(out int count);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDeviceGet(out int device, int ordinal);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDeviceGetName(byte* name, int length, int device);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDeviceGetAttribute(out int value, int attribute, int device);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDeviceTotalMem_v2(out nuint bytes, int device);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDevicePrimaryCtxRetain(out nint context, int device);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuDevicePrimaryCtxRelease_v2(int device);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuCtxSetCurrent(nint context);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuCtxSynchronize();
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemGetInfo_v2(out nuint free, out nuint total);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemAlloc_v2(out nint address, nuint bytes);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemFree_v2(nint address);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemHostAlloc(out nint address, nuint bytes, uint flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemFreeHost(nint address);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemcpyHtoDAsync_v2(nint device, nint host, nuint bytes, nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemcpyDtoHAsync_v2(nint host, nint device, nuint bytes, nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuMemcpyDtoDAsync_v2(nint target, nint source, nuint bytes, nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamCreate(out nint stream, uint flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamDestroy_v2(nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamSynchronize(nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamWaitEvent(nint stream, nint kernelEvent, uint flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamBeginCapture_v2(nint stream, int mode);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuStreamEndCapture(nint stream, out nint graph);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuGraphInstantiateWithFlags(out nint executable, nint graph, ulong flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuGraphDestroy(nint graph);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuGraphExecDestroy(nint executable);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuGraphLaunch(nint executable, nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuEventCreate(out nint kernelEvent, uint flags);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuEventDestroy_v2(nint kernelEvent);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuEventRecord(nint kernelEvent, nint stream);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuEventSynchronize(nint kernelEvent);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuEventElapsedTime(out float milliseconds, nint start, nint end);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuModuleLoadData(out nint module, byte* image);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuModuleUnload(nint module);
    [LibraryImport(CudaLibraries.Driver, StringMarshalling = StringMarshalling.Utf8)] public static partial int cuModuleGetFunction(out nint function, nint module, string name);
    [LibraryImport(CudaLibraries.Driver)] public static partial int cuFuncSetAttribute(nint function, int attribute, int value);
    [LibraryImport(CudaLibraries.Driver)]
    public static partial int cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, void** parameters, void** extra);
    [LibraryImport(CudaLibraries.Driver)] private static partial int cuGetErrorName(int error, out byte* name);
    [LibraryImport(CudaLibraries.Driver)] private static partial int cuGetErrorString(int error, out byte* text);

    /// <summary>Turns a result other than success into an exception.</summary>
    /// <param name="result">What a function returned.</param>
    /// <param name="doing">What it was to do: "cannot DOING on cuda:0".</param>
    /// <exception cref="CudaException">It failed.</exception>
    public static void Check(int result, string doing)
    {
        if (result != 0)
            throw new CudaException($"cannot {doing}: {Describe(result)}{(result == OutOfMemory ? "; free GPU memory, or hold fewer tiles on it (--device-memory)" : "")}");
    }

    /// <summary>The driver's own words for an error.</summary>
    public static string Describe(int result)
    {
        if (cuGetErrorName(result, out var name) != 0 || name is null)
            return $"CUDA error {result}";
        cuGetErrorString(result, out var text);
        return $"{Utf8StringMarshaller.ConvertToManaged(name)} ({Utf8StringMarshaller.ConvertToManaged(text)})";
    }
}
