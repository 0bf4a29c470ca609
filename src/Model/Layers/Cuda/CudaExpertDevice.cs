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
    private readonly ExpertLayout _layout;

    // Held blocks that are not on the device.
    private readonly HashSet<(int Layer, int Expert, int Block)> _onHost = [];
    private long _hostBytes;

    /// <param name="device">Owned by this object.</param>
    /// <param name="layout">The experts' layout.</param>
    /// <param name="tiles">What this process holds at first.</param>
    /// <param name="pool">Computes what does not fit.</param>
    /// <param name="limit">Most device bytes for tiles; null: what is free.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public CudaExpertDevice(IKernelDevice device, ExpertLayout layout, IReadOnlyList<ExpertTile> tiles, ComputePool pool, long? limit)
    {
        (_device, _layout) = (device, layout);
        Weights = new CudaExpertWeights(device, layout, tiles, limit);
        KeepOnHost(tiles.Except(Weights.Resident));
        _cpu = new CpuExpertDevice(pool, layout);
        Description = $"{device.Name}, {Weights.Resident.Count} of {tiles.Count} tiles on it";
    }

    public CudaExpertWeights Weights { get; }

    public string KernelId => HostBytes == 0 ? _device.KernelId : $"{_device.KernelId}+{_cpu.KernelId}";

    /// <summary>Bytes of the held tiles that are computed from the host's memory.</summary>
    public long HostBytes
    {
        get
        {
            lock (_onHost)
                return _hostBytes;
        }
    }

    public long Room => Weights.Room;

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
    public MachineSpeed? MeasureSpeed(long weightBytes, IReadOnlyList<ExpertTile> loaded)
    {
        if (weightBytes < MachineSpeed.LeastWeights)
            return null;
        var gpu = CudaSpeed.Measure(_device);
        if (HostBytes == 0 || _cpu.MeasureSpeed(weightBytes, [.. loaded.Except(Weights.Resident)]) is not { } cpu)
            return gpu;
        var share = Math.Min(1, (double)HostBytes / weightBytes);
        return gpu with { ReadBytesPerSecond = 1 / ((1 - share) / gpu.ReadBytesPerSecond + share / cpu.ReadBytesPerSecond) };
    }

    /// <exception cref="CudaException">The device fails.</exception>
    public IReadOnlyList<ExpertTile> Hold(IReadOnlyList<ExpertTile> tiles, CancellationToken cancel)
    {
        try
        {
            var taken = Weights.Add(tiles, cancel);
            KeepOnHost(tiles.Except(taken));
            return taken;
        }
        catch
        {
            Weights.Remove(tiles.SelectMany(Blocks));
            throw;
        }
    }

    public void Release(IReadOnlyCollection<(int Layer, int Expert, int Block)> blocks)
    {
        Weights.Remove(blocks);
        lock (_onHost)
            foreach (var block in blocks)
                if (_onHost.Remove(block))
                    _hostBytes -= _layout.Blocks[block.Block].Bytes;
    }

    public IReadOnlyList<IDisposable> GivenUp() => Weights.GivenUp();

    public IExpertFeedForward Create(ActivationFormat format) => new CudaExpertFeedForward(Weights, _cpu.Create(format), format);

    public void Dispose()
    {
        Weights.Dispose();
        _cpu.Dispose();
        _device.Dispose();
    }

    private static IEnumerable<(int Layer, int Expert, int Block)> Blocks(ExpertTile tile) =>
        Enumerable.Range(tile.FirstBlock, tile.EndBlock - tile.FirstBlock).Select(block => (tile.Slice.Layer, tile.Slice.Expert, block));

    private void KeepOnHost(IEnumerable<ExpertTile> tiles)
    {
        lock (_onHost)
            foreach (var block in tiles.SelectMany(Blocks))
                if (_onHost.Add(block))
                    _hostBytes += _layout.Blocks[block.Block].Bytes;
    }
}
