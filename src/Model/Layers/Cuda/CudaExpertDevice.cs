using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>A GPU, with the tiles that fit into its memory, and the processor for the rest.</summary>
public sealed class CudaExpertDevice : IExpertDevice
{
    private readonly IKernelDevice _device;
    private readonly CpuExpertDevice _cpu;

    /// <param name="device">Owned by this object.</param>
    /// <param name="layout">The experts' layout.</param>
    /// <param name="tiles">What this process holds.</param>
    /// <param name="pool">Computes what does not fit.</param>
    /// <param name="limit">Most device bytes for tiles; null: what is free.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public CudaExpertDevice(IKernelDevice device, ExpertLayout layout, IReadOnlyList<ExpertTile> tiles, ComputePool pool, long? limit)
    {
        _device = device;
        Weights = new CudaExpertWeights(device, layout, tiles, limit);
        HostBytes = tiles.Except(Weights.Resident).Sum(tile => tile.Bytes);
        _cpu = new CpuExpertDevice(pool, layout, HostBytes);
        KernelId = HostBytes == 0 ? device.KernelId : $"{device.KernelId}+{_cpu.KernelId}";
        Description = $"{device.Name}, {Weights.Resident.Count} of {tiles.Count} tiles on it";
    }

    public CudaExpertWeights Weights { get; }

    public string KernelId { get; }

    public long HostBytes { get; }

    public string Description { get; }

    /// <summary>Opens the device that was asked for; null is the processor.</summary>
    /// <param name="choice">What was asked for.</param>
    /// <param name="format">Of the experts.</param>
    /// <param name="cacheDirectory">Where compiled kernels are kept.</param>
    /// <param name="note">Told in a line why the processor computes although a GPU would have done.</param>
    /// <exception cref="ResourceException">A GPU was asked for by its number and cannot be used; it says what is missing.</exception>
    public static IKernelDevice? Open(DeviceChoice choice, WeightFormat format, string cacheDirectory, Action<string> note) =>
        CudaOpening.Open(choice, ExpertKernels.Supports(format) ? null : $"experts in {format} have no GPU kernels; import them as int8 or int4", cacheDirectory, note);

    /// <summary>
    /// Reading: every tile from where it is, one after the other, as a step of few tokens does. Arithmetic: the GPU's, to which tiles are
    /// copied that many tokens need.
    /// </summary>
    public MachineSpeed? MeasureSpeed(long weightBytes)
    {
        if (weightBytes < MachineSpeed.LeastWeights)
            return null;
        var gpu = CudaSpeed.Measure(_device);
        if (HostBytes == 0 || _cpu.MeasureSpeed(weightBytes) is not { } cpu)
            return gpu;
        var share = Math.Min(1, (double)HostBytes / weightBytes);
        return gpu with { ReadBytesPerSecond = 1 / ((1 - share) / gpu.ReadBytesPerSecond + share / cpu.ReadBytesPerSecond) };
    }

    public IExpertFeedForward Create(ActivationFormat format) => new CudaExpertFeedForward(Weights, _cpu.Create(format), format);

    public void Dispose()
    {
        Weights.Dispose();
        _cpu.Dispose();
        _device.Dispose();
    }
}
