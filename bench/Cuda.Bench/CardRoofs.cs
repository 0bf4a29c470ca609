using Grok1Cluster.Kernels.Cuda.Driver;

namespace Grok1Cluster.Cuda.Bench;

/// <summary>What the card itself does: the figures that kernels are compared with.</summary>
/// <param name="CopyBytesPerSecond">Device-to-device copy, bytes read and bytes written both counted.</param>
/// <param name="MatrixOperationsPerSecond">A large bfloat16 matrix product by cuBLAS; null where there is none.</param>
internal sealed record CardRoofs(double CopyBytesPerSecond, double? MatrixOperationsPerSecond)
{
    private const long CopyBytes = 1L << 30;
    private const int Turns = 20;

    public static CardRoofs Measure(CudaDevice device)
    {
        var copy = Copy(device);
        var matrix = BlasProduct.Measure(device);
        Console.WriteLine($"device-to-device copy          {copy / 1e9,8:F0} GB/s, read and written");
        Console.WriteLine(matrix is null ? "bf16 matrix product            no cuBLAS on this machine" : $"bf16 matrix product, cuBLAS    {matrix / 1e12,8:F0} Tflop/s, {BlasProduct.Size} cubed");
        return new CardRoofs(copy, matrix);
    }

    private static double Copy(CudaDevice device)
    {
        using var source = device.Allocate(CopyBytes);
        using var target = device.Allocate(CopyBytes);
        using var stream = device.CreateStream();
        using var start = device.CreateEvent();
        using var end = device.CreateEvent();
        var best = double.MaxValue;
        for (var turn = 0; turn < Turns; turn++)
        {
            stream.Record(start);
            stream.CopyOnDevice(target.Address, source.Address, CopyBytes);
            stream.Record(end);
            end.Wait();
            best = Math.Min(best, end.Since(start).TotalSeconds);
        }
        return 2 * CopyBytes / best;
    }
}
