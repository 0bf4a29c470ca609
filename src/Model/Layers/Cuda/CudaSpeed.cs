using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// What a GPU does, measured: memory by a copy on the device, arithmetic by the int8 product of many rows that prefill runs. Takes some
/// milliseconds, and memory for as long.
/// </summary>
internal static unsafe class CudaSpeed
{
    private const long CopyBytes = 256 << 20;

    /// <summary>Of free memory that a copy may take.</summary>
    private const int Share = 8;

    private const int Width = 1024, WeightGroups = 8, FirstRows = 64, MostRows = 32 << 10, Passes = 3;

    /// <summary>A product that takes so long drowns what a launch costs.</summary>
    private static readonly TimeSpan LongEnough = TimeSpan.FromMilliseconds(1);

    /// <exception cref="Kernels.Cuda.CudaException">A kernel cannot be compiled, or the device fails.</exception>
    public static MachineSpeed Measure(IKernelDevice device)
    {
        using var stream = device.CreateStream();
        using var start = device.CreateEvent();
        using var end = device.CreateEvent();
        return new MachineSpeed(Copy(), Multiply());

        double Copy()
        {
            var bytes = Math.Min(CopyBytes, device.FreeMemory / Share);
            using var source = device.Allocate(bytes);
            using var target = device.Allocate(bytes);
            // A copy reads and writes.
            return 2 * bytes / Best(() => stream.CopyOnDevice(target.Address, source.Address, bytes)).TotalSeconds;
        }

        double Multiply()
        {
            using var kernels = new DenseKernels(device);
            using var store = new ReductionAxis(Width, WeightGroups);
            var table = new DeviceTable();
            var axis = new CudaAxis(store, table);
            using var tables = table.Upload(device, stream);
            using var weights = device.Allocate((long)PanelLayout.PanelCount(Width) * axis.PanelBytes);
            for (var rows = FirstRows; ; rows *= 2)
            {
                using var values = device.Allocate((long)rows * axis.Stride);
                using var scales = Zeros(RowFactors.Bytes(rows, store.BlockCount));
                using var y = device.Allocate((long)rows * Width * sizeof(float));
                var product = new DenseProduct
                {
                    Blocks = axis.Blocks(tables.Address), Weights = weights.Address, Values = values.Address, Scales = scales.Address, Y = y.Address,
                    BlockCount = store.BlockCount, Stride = axis.Stride, Columns = Width, Rows = rows, Multiplier = 1,
                };
                var took = Best(() => kernels.Multiply(stream, product, exact: false));
                if (took >= LongEnough || rows == MostRows)
                    return 2.0 * rows * Width * Width / took.TotalSeconds;
            }
        }

        // Whatever the values are, rows must not seem to have outliers.
        IDeviceBuffer Zeros(long bytes)
        {
            using var host = device.AllocatePinned(bytes);
            new Span<byte>((void*)host.Address, checked((int)bytes)).Clear();
            var zeros = device.Allocate(bytes);
            stream.CopyToDevice(zeros.Address, host.Address, bytes);
            stream.Synchronize();
            return zeros;
        }

        TimeSpan Best(Action work)
        {
            // The first is slower than all that follow.
            work();
            var best = TimeSpan.MaxValue;
            for (var pass = 0; pass < Passes; pass++)
            {
                stream.Record(start);
                work();
                stream.Record(end);
                end.Wait();
                var took = end.Since(start);
                best = took < best ? took : best;
            }
            return best;
        }
    }
}
