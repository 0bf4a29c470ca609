using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Grok1Cluster.Kernels.Cuda.Compiler;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>A GPU as the driver describes it.</summary>
/// <param name="Ordinal">N of <c>cuda:N</c>.</param>
/// <param name="Handle">The driver's handle.</param>
/// <param name="Name">As NVIDIA calls it.</param>
/// <param name="Architecture">Compute capability without the point: 80 is 8.0.</param>
/// <param name="Multiprocessors">Streaming multiprocessors.</param>
/// <param name="MemoryBytes">Device memory.</param>
public sealed record CudaDeviceInfo(int Ordinal, int Handle, string Name, int Architecture, int Multiprocessors, long MemoryBytes)
{
    /// <summary>The oldest architecture with int8 tensor cores.</summary>
    public const int LeastArchitecture = 75;
}

/// <summary>What this machine has of CUDA.</summary>
public static unsafe class CudaSystem
{
    /// <summary>How to get a driver.</summary>
    public const string DriverAdvice = "install NVIDIA's driver (Debian: nvidia-driver from non-free; in a container: run it with the NVIDIA container runtime)";

    /// <summary>How to get NVRTC.</summary>
    public const string CompilerAdvice =
        "install CUDA's runtime compiler (Debian: libnvrtc11.2 from non-free; NVIDIA's repository: cuda-nvrtc-12-x; pip: nvidia-cuda-nvrtc) or name it in GROK1_NVRTC";

    /// <summary>The driver's highest CUDA version, such as 12.4, or null without a driver.</summary>
    public static string? DriverVersion => CudaLibraries.HasDriver && CudaDriver.cuDriverGetVersion(out var version) == 0 ? $"{version / 1000}.{version % 1000 / 10}" : null;

    /// <summary>NVRTC's version, or null without it.</summary>
    public static string? CompilerVersion => CudaLibraries.HasCompiler ? Nvrtc.Version : null;

    /// <summary>Where NVRTC was found, or null.</summary>
    public static string? CompilerPath => CudaLibraries.CompilerPath;

    /// <summary>What is missing to compute on a GPU, and how to get it; null if nothing is.</summary>
    public static string? Missing()
    {
        try
        {
            var devices = Devices();
            if (devices.Count == 0)
                return "the driver finds no NVIDIA GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES";
            if (devices.All(device => device.Architecture < CudaDeviceInfo.LeastArchitecture))
                return $"{devices[0].Name} is too old: compute capability 7.5 and later are supported";
            return CudaLibraries.HasCompiler ? null : NoCompiler;
        }
        catch (CudaException e)
        {
            return e.Message;
        }
    }

    /// <summary>Every GPU that the driver shows.</summary>
    /// <exception cref="CudaException">There is no driver, or it does not start.</exception>
    public static IReadOnlyList<CudaDeviceInfo> Devices()
    {
        if (!CudaLibraries.HasDriver)
            throw new CudaException($"the NVIDIA driver is missing (libcuda.so.1); {DriverAdvice}");
        const int NoDevice = 100;
        var started = CudaDriver.cuInit(0);
        if (started == NoDevice)
            return [];
        CudaDriver.Check(started, "start the NVIDIA driver (check nvidia-smi)");
        CudaDriver.Check(CudaDriver.cuDeviceGetCount(out var count), "count the GPUs");
        return [.. Enumerable.Range(0, count).Select(Describe)];
    }

    internal static string NoCompiler => $"NVRTC is missing (libnvrtc.so.13, .12 or .11.2); {CompilerAdvice}";

    private static CudaDeviceInfo Describe(int ordinal)
    {
        const int NameBytes = 256;
        var doing = $"describe cuda:{ordinal}";
        CudaDriver.Check(CudaDriver.cuDeviceGet(out var device, ordinal), doing);
        var name = stackalloc byte[NameBytes];
        CudaDriver.Check(CudaDriver.cuDeviceGetName(name, NameBytes, device), doing);
        CudaDriver.Check(CudaDriver.cuDeviceGetAttribute(out var major, CudaDriver.ComputeCapabilityMajor, device), doing);
        CudaDriver.Check(CudaDriver.cuDeviceGetAttribute(out var minor, CudaDriver.ComputeCapabilityMinor, device), doing);
        CudaDriver.Check(CudaDriver.cuDeviceGetAttribute(out var multiprocessors, CudaDriver.MultiprocessorCount, device), doing);
        CudaDriver.Check(CudaDriver.cuDeviceTotalMem_v2(out var bytes, device), doing);
        return new CudaDeviceInfo(ordinal, device, Utf8StringMarshaller.ConvertToManaged(name) ?? "", major * 10 + minor, multiprocessors, (long)bytes);
    }
}
