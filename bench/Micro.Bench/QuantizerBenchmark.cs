using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;

namespace Grok1Cluster.Micro.Bench;

/// <summary>A row of activations to int8 blocks: what goes over the wire, and the hidden row of an expert.</summary>
public unsafe class QuantizerBenchmark
{
    private ReductionAxis _axis = null!;
    private NativeBuffer<sbyte> _values = null!;
    private NativeBuffer<float> _scales = null!;
    private NativeBuffer<int> _sums = null!;
    private NativeBuffer<byte> _counts = null!;
    private NativeBuffer<Outlier> _outliers = null!;
    private float[] _x = [];

    [Params(6144, 32768)]
    public int Length { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _axis = new ReductionAxis(Length, 1, null, WeightFormat.Int8);
        _values = new NativeBuffer<sbyte>(_axis.PaddedLength);
        _scales = new NativeBuffer<float>(_axis.BlockCount);
        _sums = new NativeBuffer<int>(_axis.BlockCount);
        _counts = new NativeBuffer<byte>(_axis.BlockCount);
        _outliers = new NativeBuffer<Outlier>(_axis.BlockCount * ActivationQuantizer.MaxOutliers);
        _x = Numbers.Floats(Length);
    }

    [Benchmark]
    public void Quantize() => ActivationQuantizer.Quantize(_x, _axis, new QuantizedRow(_values.Pointer, _scales.Pointer, _sums.Pointer, _counts.Pointer, _outliers.Pointer));

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (var owned in (IDisposable[])[_values, _scales, _sums, _counts, _outliers, _axis])
            owned.Dispose();
    }
}
