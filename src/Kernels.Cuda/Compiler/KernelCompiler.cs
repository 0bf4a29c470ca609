using System.Runtime.InteropServices;
using System.Text;
using Grok1Cluster.Kernels.Cuda.Driver;

namespace Grok1Cluster.Kernels.Cuda.Compiler;

/// <summary>Kernel files to machine code of an architecture by NVRTC, kept in a cache.</summary>
public sealed unsafe class KernelCompiler
{
    private readonly KernelCache _cache;

    private KernelCompiler(KernelCache cache) => _cache = cache;

    /// <summary>Options besides the architecture: a multiply-add is made only where it is written.</summary>
    private static readonly string[] Options = ["--std=c++17", "--fmad=false"];

    /// <param name="cacheDirectory">Where machine code is kept; created when needed.</param>
    /// <exception cref="CudaException">NVRTC is not on this machine.</exception>
    public static KernelCompiler Open(string cacheDirectory) =>
        CudaLibraries.HasCompiler ? new KernelCompiler(new KernelCache(cacheDirectory)) : throw new CudaException(CudaSystem.NoCompiler);

    /// <summary>Compiles a file, or takes it from the cache.</summary>
    /// <param name="file">One of <see cref="KernelSources.Files"/>.</param>
    /// <param name="architecture">Compute capability without the point.</param>
    /// <returns>A CUBIN; PTX, which the driver compiles, where NVRTC is older than the device. Either ends with a zero byte.</returns>
    /// <exception cref="CudaException">NVRTC does not take it; the message has its log.</exception>
    public byte[] Compile(string file, int architecture)
    {
        var known = KnownArchitectures();
        var native = known.Contains(architecture);
        var target = native ? architecture : known.Where(candidate => candidate < architecture).DefaultIfEmpty(0).Max();
        if (target == 0)
            throw new CudaException($"NVRTC {Nvrtc.Version} compiles for architectures {string.Join(", ", known)}, not for {architecture}; install an older NVRTC");
        var key = $"{(native ? "sm" : "compute")}{target}-nvrtc{Nvrtc.Version}-{KernelSources.Hash(file)}";
        if (_cache.Find(key) is { } cached)
            return cached;
        var image = Compile(file, native ? $"--gpu-architecture=sm_{target}" : $"--gpu-architecture=compute_{target}", native);
        _cache.Store(key, image);
        return image;
    }

    private static int[] KnownArchitectures()
    {
        Nvrtc.Check(Nvrtc.nvrtcGetNumSupportedArchs(out var count), "name its architectures");
        var known = new int[count];
        fixed (int* first = known)
            Nvrtc.Check(Nvrtc.nvrtcGetSupportedArchs(first), "name its architectures");
        return known;
    }

    private static byte[] Compile(string file, string architecture, bool native)
    {
        var headers = KernelSources.Headers;
        using var texts = new NativeTexts(headers.Select(KernelSources.Read));
        using var names = new NativeTexts(headers);
        using var options = new NativeTexts(Options.Append(architecture));
        Nvrtc.Check(Nvrtc.nvrtcCreateProgram(out var program, KernelSources.Read(file), file, headers.Length, texts.Pointer, names.Pointer), $"read {file}");
        try
        {
            if (Nvrtc.nvrtcCompileProgram(program, options.Count, options.Pointer) != 0)
                throw new CudaException($"NVRTC {Nvrtc.Version} does not compile {file} with {architecture}:\n{Log(program)}");
            var bytes = (nuint)0;
            Nvrtc.Check(native ? Nvrtc.nvrtcGetCUBINSize(program, out bytes) : Nvrtc.nvrtcGetPTXSize(program, out bytes), $"give the code of {file}");
            var image = new byte[checked((int)bytes + 1)];
            fixed (byte* start = image)
                Nvrtc.Check(native ? Nvrtc.nvrtcGetCUBIN(program, start) : Nvrtc.nvrtcGetPTX(program, start), $"give the code of {file}");
            return image;
        }
        finally
        {
            Nvrtc.nvrtcDestroyProgram(ref program);
        }
    }

    private static string Log(nint program)
    {
        if (Nvrtc.nvrtcGetProgramLogSize(program, out var bytes) != 0 || bytes <= 1)
            return "(no log)";
        var log = new byte[checked((int)bytes)];
        fixed (byte* start = log)
            _ = Nvrtc.nvrtcGetProgramLog(program, start);
        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n');
    }

    /// <summary>Strings as an array of C strings.</summary>
    private sealed class NativeTexts : IDisposable
    {
        private readonly nint[] _texts;
        private readonly GCHandle _pin;

        public NativeTexts(IEnumerable<string> texts)
        {
            _texts = [.. texts.Select(Marshal.StringToCoTaskMemUTF8)];
            _pin = GCHandle.Alloc(_texts, GCHandleType.Pinned);
        }

        public int Count => _texts.Length;

        public byte** Pointer => (byte**)_pin.AddrOfPinnedObject();

        public void Dispose()
        {
            _pin.Free();
            foreach (var text in _texts)
                Marshal.FreeCoTaskMem(text);
        }
    }
}
