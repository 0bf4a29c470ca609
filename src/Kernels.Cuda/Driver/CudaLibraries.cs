using System.Reflection;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Kernels.Cuda.Driver;

/// <summary>Finds the driver's and the compiler's libraries on this machine. Nothing of CUDA is shipped.</summary>
internal static class CudaLibraries
{
    /// <summary>Names the P/Invokes use.</summary>
    public const string Driver = "cuda", Compiler = "nvrtc";

    /// <summary>Names a NVRTC library, or a folder of it, that is taken before any other.</summary>
    public const string CompilerVariable = "GROK1_NVRTC";

    private static readonly string[] DriverNames = ["libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"];
    private static readonly string[] CompilerNames = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"];

    private static readonly Lazy<nint> DriverHandle = new(() => FirstOf(DriverNames));
    private static readonly Lazy<(nint Handle, string Path)> CompilerHandle = new(FindCompiler);

    static CudaLibraries() => NativeLibrary.SetDllImportResolver(typeof(CudaLibraries).Assembly, Resolve);

    /// <summary>Whether the driver's library is there and can be loaded.</summary>
    public static bool HasDriver => DriverHandle.Value != 0;

    /// <summary>Whether NVRTC is there and can be loaded.</summary>
    public static bool HasCompiler => CompilerHandle.Value.Handle != 0;

    /// <summary>Where NVRTC was found: a path, or a name that the loader knows.</summary>
    public static string? CompilerPath => HasCompiler ? CompilerHandle.Value.Path : null;

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        Driver => DriverHandle.Value,
        Compiler => CompilerHandle.Value.Handle,
        _ => 0,
    };

    private static nint FirstOf(IEnumerable<string> names)
    {
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, out var handle))
                return handle;
        return 0;
    }

    private static (nint, string) FindCompiler()
    {
        foreach (var folder in CompilerFolders())
            foreach (var name in CompilerNames)
                if (NativeLibrary.TryLoad(folder.Length == 0 ? name : Path.Combine(folder, name), out var handle))
                    return (handle, Path.Combine(folder, name));
        if (Environment.GetEnvironmentVariable(CompilerVariable) is { Length: > 0 } file && NativeLibrary.TryLoad(file, out var named))
            return (named, file);
        return (0, "");
    }

    private static IEnumerable<string> CompilerFolders()
    {
        if (Environment.GetEnvironmentVariable(CompilerVariable) is { Length: > 0 } named)
            yield return named;
        yield return "";
        foreach (var variable in new[] { "CUDA_HOME", "CUDA_PATH" })
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } home)
                yield return Path.Combine(home, "lib64");
        foreach (var folder in (string[])["/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib", "/usr/local/cuda/targets/sbsa-linux/lib", "/opt/cuda/lib64"])
            yield return folder;
    }
}
