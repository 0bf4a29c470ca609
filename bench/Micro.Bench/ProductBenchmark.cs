using BenchmarkDotNet.Attributes;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Numerics;
using Grok1Cluster.Kernels.Threading;

namespace Grok1Cluster.Micro.Bench;

/// <summary>int8 and int4 weights [6144, 16384] times int8 activation blocks, on all cores: 100 and 57 MB, more than the caches.</summary>
public unsafe class ProductBenchmark
{
    private const int Length = 6144, Columns = 16384;

    private readonly MatrixProduct _product = new();
    private ComputePool _pool = null!;
    private ReductionAxis _axis = null!;
    private NativeBuffer<byte> _weights = null!;
    private NativeBuffer<ushort> _scales = null!;
    private NativeBuffer<float> _y = null!;
    private Activations _x = null!;
    private PackedMatrix _matrix;

    [Params(WeightFormat.Int8, WeightFormat.Int4)]
    public WeightFormat Format { get; set; }

    [Params(1, 4, 32, 512)]
    public int Rows { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _pool = new ComputePool(Environment.ProcessorCount, spin: true);
        _axis = new ReductionAxis(Length, Format == WeightFormat.Int4 ? WeightFormats.Int4Groups(Length) : 1, null, Format);
        _weights = new NativeBuffer<byte>(PanelLayout.PanelCount(Columns) * PanelLayout.PanelBytes(Format, _axis.PaddedLength));
        new Random(1).NextBytes(_weights.Span);
        _scales = new NativeBuffer<ushort>(Format.HasScaleTable() ? (long)_axis.Groups * PanelLayout.PaddedColumns(Columns) : 0);
        _scales.Span.Fill(Bf16.Round(1e-3f));
        _matrix = new PackedMatrix(Format, _axis, Columns, (nint)_weights.Pointer, (nint)_scales.Pointer);
        _x = new Activations(_axis, ActivationFormat.Int8Blocks);
        _x.Resize(Rows);
        for (var row = 0; row < Rows; row++)
            _x.Set(row, Numbers.Floats(Length, row));
        _y = new NativeBuffer<float>((long)Rows * PanelLayout.PaddedColumns(Columns));
    }

    [Benchmark]
    public void Product()
    {
        _product.Add(_matrix, _y.Pointer);
        _product.Run(_pool, _x);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (var owned in (IDisposable[])[_pool, _weights, _scales, _x, _y, _axis])
            owned.Dispose();
    }
}
