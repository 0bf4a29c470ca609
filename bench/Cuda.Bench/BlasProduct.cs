using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Driver;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>A large bfloat16 matrix product by cuBLAS, where the machine has it: a yardstick; the product depends on nothing of it.</summary>
internal static unsafe class BlasProduct
{
    public const int Size = 8192;
    private const int Turns = 10;
    private const int BFloat16 = 14, Compute32 = 68, DefaultAlgorithm = -1;
    private static readonly string[] Names = ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "/usr/local/cuda/lib64/libcublas.so"];

    /// <returns>Operations a second, or null without cuBLAS.</returns>
    public static double? Measure(CudaDevice device)
    {
        var library = Names.Select(name => NativeLibrary.TryLoad(name, out var handle) ? handle : 0).FirstOrDefault(handle => handle != 0);
        if (library == 0)
            return null;
        var create = (delegate* unmanaged<nint*, int>)NativeLibrary.GetExport(library, "cublasCreate_v2");
        var destroy = (delegate* unmanaged<nint, int>)NativeLibrary.GetExport(library, "cublasDestroy_v2");
        var multiply = (delegate* unmanaged<nint, int, int, int, int, int, void*, nint, int, int, nint, int, int, void*, nint, int, int, int, int, int>)
            NativeLibrary.GetExport(library, "cublasGemmEx");
        // Random bits of moderate numbers: zeros run faster than real data.
        var host = new ushort[Size * (long)Size];
        var random = new Random(1);
        for (var i = 0; i < host.Length; i++)
            host[i] = (ushort)(0x3f00 + random.Next(0x100) | random.Next(2) << 15);
        using var pinned = device.AllocatePinned(host.LongLength * sizeof(ushort));
        MemoryMarshal.AsBytes(host.AsSpan()).CopyTo(new Span<byte>((void*)pinned.Address, checked((int)pinned.Bytes)));
        using var a = device.Allocate(pinned.Bytes);
        using var b = device.Allocate(pinned.Bytes);
        using var c = device.Allocate(pinned.Bytes);
        using (var stream = device.CreateStream())
        {
            stream.CopyToDevice(a.Address, pinned.Address, pinned.Bytes);
            stream.CopyToDevice(b.Address, pinned.Address, pinned.Bytes);
            stream.Synchronize();
        }
        nint blas;
        Check(create(&blas));
        var (one, zero) = (1f, 0f);
        var best = double.MaxValue;
        for (var turn = 0; turn <= Turns; turn++)
        {
            var start = Stopwatch.GetTimestamp();
            Check(multiply(blas, 0, 0, Size, Size, Size, &one, a.Address, BFloat16, Size, b.Address, BFloat16, Size, &zero, c.Address, BFloat16, Size, Compute32, DefaultAlgorithm));
            device.Synchronize();
            // The first loads what the later ones use.
            if (turn > 0)
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        destroy(blas);
        return 2.0 * Size * Size * Size / best;
    }

    private static void Check(int status)
    {
        if (status != 0)
            throw new CudaException($"cuBLAS failed with status {status}");
    }
}
