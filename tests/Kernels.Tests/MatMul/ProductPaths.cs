using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MachineCode;
using Grok1Cluster.Kernels.MatMul;

namespace Grok1Cluster.Kernels.Tests.MatMul;

/// <summary>A panel product, whichever path computes it.</summary>
internal unsafe delegate void PanelKernel(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride);

/// <summary>The products, each with its scalar twin and every path that this process can run.</summary>
internal static unsafe class ProductPaths
{
    /// <param name="Name">For messages.</param>
    /// <param name="Weights">Weight format.</param>
    /// <param name="Activations">Activation format.</param>
    /// <param name="Scalar">The twin.</param>
    /// <param name="Paths">Paths by name, what production picks first.</param>
    public sealed record Product(string Name, WeightFormat Weights, ActivationFormat Activations, PanelKernel Scalar, IReadOnlyList<(string Name, PanelKernel Kernel)> Paths);

    public static readonly Product Int8Blocks = new("int8 x int8 blocks", WeightFormat.Int8, ActivationFormat.Int8Blocks, ScalarWithOutliers,
    [
        ("picked", WithOutliers(Int8BlockProduct.Accumulate)),
        ("Vector128", WithOutliers(Int8BlockProduct.AccumulateVector128)),
        .. Only(Avx2.IsSupported && Fma.IsSupported, "AVX2", WithOutliers(Int8BlockProduct.AccumulateAvx2)),
        .. Only(AvxVnni.IsSupported, "AVX-VNNI", WithOutliers(Int8BlockProduct.AccumulateVnni)),
        .. Only(Amx.IsSupported, "AMX", WithOutliers(Tiles)),
        .. Only(Avx512Vnni.IsSupported, "AVX512-VNNI", WithOutliers((in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) => Vnni512Product.AccumulateInt8(w, 1, x, rows, count, y, stride, 0))),
    ]);

    public static readonly Product Int4Blocks = new("int4 x int8 blocks", WeightFormat.Int4, ActivationFormat.Int8Blocks, Int4BlockProduct.AccumulateScalar,
    [
        ("picked", Int4BlockProduct.Accumulate),
        ("Vector128", Int4BlockProduct.AccumulateVector128),
        .. Only(Avx2.IsSupported && Fma.IsSupported, "AVX2", Int4BlockProduct.AccumulateAvx2),
        .. Only(AvxVnni.IsSupported, "AVX-VNNI", Int4BlockProduct.AccumulateVnni),
        .. Only(Avx512Vnni.IsSupported, "AVX512-VNNI", (in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) => Vnni512Product.AccumulateInt4(w, 1, x, rows, count, y, stride, 0)),
    ]);

    public static readonly Product[] All =
    [
        Int8Blocks,
        Int4Blocks,
        new("int4 x float32", WeightFormat.Int4, ActivationFormat.Float32, Int4ExactProduct.AccumulateScalar,
        [
            ("picked", Int4ExactProduct.Accumulate),
            ("Vector128", Int4ExactProduct.AccumulateVector128),
        ]),
        new("int8 x float32", WeightFormat.Int8, ActivationFormat.Float32, Int8ExactProduct.AccumulateScalar,
        [
            ("picked", Int8ExactProduct.Accumulate),
            ("Vector128", Int8ExactProduct.AccumulateVector128),
            .. Only(Vector256.IsHardwareAccelerated, "Vector256", Int8ExactProduct.AccumulateVector256),
        ]),
        new("bfloat16 x float32", WeightFormat.BFloat16, ActivationFormat.Float32, FloatProduct<BFloat16Weights>.AccumulateScalar,
        [
            ("picked", FloatProduct<BFloat16Weights>.Accumulate),
            ("Vector128", FloatProduct<BFloat16Weights>.AccumulateVector128),
            .. Only(Vector256.IsHardwareAccelerated, "Vector256", FloatProduct<BFloat16Weights>.AccumulateVector256),
        ]),
        new("float32 x float32", WeightFormat.Float32, ActivationFormat.Float32, FloatProduct<Float32Weights>.AccumulateScalar,
        [
            ("picked", FloatProduct<Float32Weights>.Accumulate),
            ("Vector128", FloatProduct<Float32Weights>.AccumulateVector128),
            .. Only(Vector256.IsHardwareAccelerated, "Vector256", FloatProduct<Float32Weights>.AccumulateVector256),
        ]),
    ];

    /// <summary>A path with what comes after it.</summary>
    private static PanelKernel WithOutliers(PanelKernel kernel) => (in PanelOperands w, Activations x, int* rows, int count, float* y, long stride) =>
    {
        kernel(w, x, rows, count, y, stride);
        PanelProduct.AddOutliers(WeightFormat.Int8, w, 1, x, rows, count, y, stride, 0);
    };

    /// <summary>In tiles, however few rows; on axes that tiles do not take, what production does there.</summary>
    private static void Tiles(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        if (!x.Axis.IsUniform)
        {
            Int8BlockProduct.Accumulate(w, x, rows, count, y, stride);
            return;
        }
        AccumulateTiles(new ReadOnlySpan<PanelOperands>(in w), 1, x, rows, count, y, stride, 0);
    }

    /// <summary>As <see cref="PanelProduct.AccumulateTiles"/>, of rows that are not dealt yet.</summary>
    public static void AccumulateTiles(ReadOnlySpan<PanelOperands> runs, int panels, Activations x, int* rows, int count, float* y, long stride, long panelStride)
    {
        using var tiles = new RowTiles();
        tiles.Resize(count, x.Axis);
        for (var tile = 0; tile < tiles.Tiles; tile++)
            tiles.Pack(x, rows, tile, 0, x.Axis.BlockCount);
        PanelProduct.AccumulateTiles(runs, panels, tiles, y, stride, panelStride);
    }

    private static void ScalarWithOutliers(in PanelOperands w, Activations x, int* rows, int count, float* y, long stride)
    {
        Int8BlockProduct.AccumulateScalar(w, x, rows, count, y, stride);
        for (var i = 0; i < count; i++)
            for (var b = w.FirstBlock; b < w.EndBlock; b++)
                OutlierProduct.AddScalar(w, 1, b, x.OutliersOf(rows[i], b), y + i * stride, 0);
    }

    private static (string, PanelKernel)[] Only(bool supported, string name, PanelKernel kernel) => supported ? [(name, kernel)] : [];
}
