using Grok1Cluster.Kernels.Cuda;
using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>A GPU with attention, KV memory, router and head. In exact mode the head is the processor's: its float32 table is not copied to the device.</summary>
public sealed class CudaDenseDevice : IDenseDevice
{
    private readonly IKernelDevice _device;
    private readonly Grok1Config _config;
    private readonly ComputePool _pool;
    private readonly bool _exact;
    private readonly KvFormat? _kvFormat;

    /// <param name="device">Owned by this object.</param>
    /// <param name="config">The model.</param>
    /// <param name="pool">Computes what the device does not.</param>
    /// <param name="exact">float32 throughout, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    public CudaDenseDevice(IKernelDevice device, Grok1Config config, ComputePool pool, bool exact, KvFormat? kvFormat)
    {
        (_device, _config, _pool, _exact, _kvFormat) = (device, config, pool, exact, kvFormat);
        KvBlockBytes = new CpuDenseDevice(config, pool, exact, kvFormat).KvBlockBytes;
    }

    public string Description => _device.Name;

    public long KvBlockBytes { get; }

    /// <summary>Opens the device that was asked for; null is the processor.</summary>
    /// <param name="choice">What was asked for.</param>
    /// <param name="format">Of the coordinator's matrices.</param>
    /// <param name="cacheDirectory">Where compiled kernels are kept.</param>
    /// <param name="note">Told in a line why the processor computes although a GPU would have done.</param>
    /// <exception cref="ResourceException">A GPU was asked for by its number and cannot be used; it says what is missing.</exception>
    public static IKernelDevice? Open(DeviceChoice choice, WeightFormat format, string cacheDirectory, Action<string> note) =>
        CudaOpening.Open(choice, DenseKernels.Supports(format) ? null : $"attention in {format} has no GPU kernels; import the model as int8 or int4", cacheDirectory, note);

    public long Place(DenseLayout layout, long kvBytes)
    {
        var weights = CudaAttentionWeights.Bytes(layout, _config) + (_exact ? 0 : CudaLogitHead.Bytes(layout, _config));
        var free = _device.FreeMemory - DeviceReserve.Of(_device);
        if (weights + kvBytes > free)
            throw new ResourceException(
                $"{_device.Name} has {Math.Max(0, free)} bytes free beside the reserve; attention and head take {weights}, the KV cache {kvBytes}: give less --kv-memory, --kv-format int8, or --device cpu");
        return 0;
    }

    /// <exception cref="CudaException">A kernel cannot be compiled, or the device has too little memory.</exception>
    public IDenseLayers CreateLayers(DenseWeights weights, ExpertLayout experts) => new CudaDenseLayers(_device, _config, weights, experts, _pool, _exact, _kvFormat);

    public void Dispose() => _device.Dispose();
}
