using Grok1Cluster.Kernels.Cuda.Tests.Emulator;

namespace Grok1Cluster.Kernels.Cuda.Tests.Compile;

/// <summary>
/// Every kernel file compiles for a GPU: by Debian's clang, which has a CUDA front end and a PTX back end, in front of what NVRTC
/// has built in. What it cannot show is what NVRTC itself says, and the assembly of PTX to machine code.
/// </summary>
public sealed class DeviceCompileTests
{
    /// <summary>The oldest that is supported, and the one that most kernels are written for.</summary>
    private static readonly string[] Architectures = ["sm_75", "sm_80"];

    private static readonly string[] Compilers = ["clang-14", "clang-15", "clang-16", "clang-19", "clang"];

    private static readonly string? Clang = Compilers.FirstOrDefault(KernelLibrary.IsThere);

    public static TheoryData<string, string> Files()
    {
        var data = new TheoryData<string, string>();
        foreach (var file in KernelSources.Files)
            foreach (var architecture in Architectures)
                data.Add(file, architecture);
        return data;
    }

    [ClangTheory]
    [MemberData(nameof(Files))]
    public void A_kernel_file_compiles_to_PTX_with_all_in_registers(string file, string architecture)
    {
        using var folder = new KernelFolder();
        var target = Path.Combine(folder.Path, "out.ptx");
        var (code, output) = KernelLibrary.Run(Clang!, [
            "-x", "cuda", "--cuda-device-only", $"--cuda-gpu-arch={architecture}", "-nocudainc", "-nocudalib", "-Wno-unknown-cuda-version", "-Xclang", "-target-feature", "-Xclang", "+ptx75",
            "-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unused-function", "-include", Path.Combine(AppContext.BaseDirectory, "Compile", "nvrtc_builtins.h"),
            "-S", "-o", target, Path.Combine(folder.Path, file)]);
        Assert.True(code == 0, output);
        var ptx = File.ReadAllText(target);
        Assert.Contains(".visible .entry", ptx);
        // An array that is indexed at run time lands in local memory, which is device memory.
        Assert.DoesNotContain(".local", ptx);
        Assert.DoesNotContain("call.uni", ptx);
    }

    private sealed class ClangTheoryAttribute : TheoryAttribute
    {
        public ClangTheoryAttribute() => Skip = Clang is null ? "needs clang with its NVPTX back end (Debian: apt-get install clang-14)" : null;
    }
}
