using System.Diagnostics;
using System.Security.Cryptography;
using Grok1Cluster.Kernels.Cuda.Tests.Emulator;
using Grok1Cluster.TestKit;

namespace Grok1Cluster.Kernels.Cuda.Tests.FakeDriver;

/// <summary>
/// A machine with a GPU, as far as a process can tell by its libraries: fake_cuda.cpp and fake_nvrtc.cpp in a folder that the
/// loader looks into first, over the emulated kernels.
/// </summary>
public sealed class FakeGpu : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("grok1-fake-gpu-");

    public FakeGpu()
    {
        if (KernelLibrary.Compiler is null)
            return;
        Build("fake_cuda.cpp", "libcuda.so.1");
        Build("fake_nvrtc.cpp", "libnvrtc.so.12");
        foreach (var file in KernelSources.Files)
            File.CreateSymbolicLink(Path.Combine(_folder.FullName, Path.ChangeExtension(file, ".so")), KernelLibrary.PathOf(file));
    }

    /// <summary>While this file exists every launch fails.</summary>
    public string FailFile => Path.Combine(_folder.FullName, "fail");

    public string At(string name) => Path.Combine(_folder.FullName, name);

    /// <summary>A process of grok1 that finds this GPU.</summary>
    public ProcessStartInfo Grok1(params string[] arguments)
    {
        var start = new ProcessStartInfo(Grok1Process.ExecutablePath, arguments);
        start.Environment["LD_LIBRARY_PATH"] = _folder.FullName;
        start.Environment["FAKE_NVRTC_FOLDER"] = _folder.FullName;
        start.Environment["FAKE_CUDA_FAIL_FILE"] = FailFile;
        start.Environment["XDG_CACHE_HOME"] = At("cache");
        return start;
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private void Build(string source, string name)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "FakeDriver", source);
        var built = Path.Combine(Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "emulated-kernels")).FullName, $"{name}-{Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)))[..16]}");
        if (!File.Exists(built))
        {
            var temporary = $"{built}.{Environment.ProcessId}";
            var (code, output) = KernelLibrary.Run(KernelLibrary.Compiler!, ["-std=c++17", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", path, "-ldl", "-o", temporary]);
            Assert.True(code == 0, output);
            File.Move(temporary, built, overwrite: true);
        }
        File.CreateSymbolicLink(At(name), built);
    }
}
