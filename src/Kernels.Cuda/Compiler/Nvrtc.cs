using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using Grok1Cluster.Kernels.Cuda.Driver;

namespace Grok1Cluster.Kernels.Cuda.Compiler;

/// <summary>The functions of NVRTC that are used, from version 11.2 on.</summary>
internal static unsafe partial class Nvrtc
{
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcVersion(out int major, out int minor);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetNumSupportedArchs(out int count);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetSupportedArchs(int* architectures);
    [LibraryImport(CudaLibraries.Compiler, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int nvrtcCreateProgram(out nint program, string source, string name, int headers, byte** headerTexts, byte** headerNames);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcDestroyProgram(ref nint program);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcCompileProgram(nint program, int options, byte** texts);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetCUBINSize(nint program, out nuint bytes);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetCUBIN(nint program, byte* image);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetPTXSize(nint program, out nuint bytes);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetPTX(nint program, byte* image);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetProgramLogSize(nint program, out nuint bytes);
    [LibraryImport(CudaLibraries.Compiler)] public static partial int nvrtcGetProgramLog(nint program, byte* log);
    [LibraryImport(CudaLibraries.Compiler)] private static partial byte* nvrtcGetErrorString(int error);

    /// <summary>Such as 12.4.</summary>
    public static string Version => nvrtcVersion(out var major, out var minor) == 0 ? $"{major}.{minor}" : "unknown";

    /// <exception cref="CudaException">It failed.</exception>
    public static void Check(int result, string doing)
    {
        if (result != 0)
            throw new CudaException($"NVRTC {Version} cannot {doing}: {Utf8StringMarshaller.ConvertToManaged(nvrtcGetErrorString(result))}");
    }
}
