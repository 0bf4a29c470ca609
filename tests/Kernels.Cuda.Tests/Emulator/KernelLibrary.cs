using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using System.Text;

namespace Grok1Cluster.Kernels.Cuda.Tests.Emulator;

/// <summary>A kernel file as C++ behind emulator.h, compiled by the system's compiler into a library of this process.</summary>
internal sealed unsafe class KernelLibrary
{
    /// <summary>Compilers that are tried, in this order.</summary>
    private static readonly string[] Compilers = ["g++", "clang++", "clang++-14"];

    private static readonly ConcurrentDictionary<string, Lazy<KernelLibrary>> Libraries = new();
    private readonly nint _handle;
    private readonly delegate* unmanaged<nint, void*, int, int, int, int, int, int, int> _launch;

    private KernelLibrary(string path)
    {
        _handle = NativeLibrary.Load(path);
        _launch = (delegate* unmanaged<nint, void*, int, int, int, int, int, int, int>)NativeLibrary.GetExport(_handle, "emulator_launch");
    }

    /// <summary>The compiler of this machine, or null.</summary>
    public static string? Compiler { get; } = Compilers.FirstOrDefault(IsThere);

    public static KernelLibrary Of(string file) => Libraries.GetOrAdd(file, name => new Lazy<KernelLibrary>(() => new KernelLibrary(PathOf(name)))).Value;

    /// <summary>The library of a kernel file; compiled when it is asked for the first time.</summary>
    public static string PathOf(string file)
    {
        lock (Libraries)
            return Compile(file);
    }

    public nint Find(string kernel) => NativeLibrary.TryGetExport(_handle, kernel, out var address) ? address : throw new CudaException($"no kernel {kernel}");

    /// <summary>Threads of a block that the kernel was written for.</summary>
    public int ThreadsOf(string kernel) => ((delegate* unmanaged<int>)Find(kernel + "_threads"))();

    /// <summary>Bytes of the struct that the kernel takes.</summary>
    public int ParameterBytesOf(string kernel) => ((delegate* unmanaged<int>)Find(kernel + "_parameter_bytes"))();

    /// <summary>Runs a grid, one block after the other.</summary>
    /// <param name="kernel">From <see cref="Find"/>.</param>
    /// <param name="grid">Blocks.</param>
    /// <param name="threads">Of a block.</param>
    /// <param name="shared">Bytes of shared memory of a block.</param>
    /// <param name="parameters">The kernel's struct.</param>
    /// <param name="order">In which threads take turns: 0 ascending, 1 descending, 2 mixed.</param>
    public void Launch(nint kernel, Devices.Grid grid, int threads, int shared, void* parameters, int order)
    {
        // The emulator has one block's threads in static memory.
        lock (this)
            Assert.Equal(0, _launch(kernel, parameters, grid.X, grid.Y, grid.Z, threads, shared, order));
    }

    private static string Compile(string file)
    {
        var folder = Directory.CreateDirectory(Path.Combine(AppContext.BaseDirectory, "emulated-kernels")).FullName;
        var header = Path.Combine(AppContext.BaseDirectory, "Emulator", "emulator.h");
        var key = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(KernelSources.Hash(file) + File.ReadAllText(header) + Compiler)))[..16];
        var library = Path.Combine(folder, $"{Path.GetFileNameWithoutExtension(file)}-{key}.so");
        if (File.Exists(library))
            return library;
        using var sources = new KernelFolder();
        var temporary = $"{library}.{Environment.ProcessId}";
        // The device makes a multiply-add where it is written and nowhere else; so must the emulator.
        List<string> arguments = ["-O2", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unknown-pragmas", "-include", header, "-x", "c++", Path.Combine(sources.Path, file), "-o", temporary];
        if (Fma.IsSupported)
            arguments.Add("-mfma");
        var (code, output) = Run(Compiler!, arguments);
        Assert.True(code == 0, $"{Compiler} does not compile {file}:\n{output}");
        File.Move(temporary, library, overwrite: true);
        return library;
    }

    /// <summary>Runs a compiler to its end.</summary>
    internal static (int Code, string Output) Run(string program, IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output.Result + error);
    }

    internal static bool IsThere(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));
}
