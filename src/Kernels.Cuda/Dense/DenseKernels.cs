using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Experts;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;

namespace Grok1Cluster.Kernels.Cuda.Dense;

/// <summary>
/// The kernels around the coordinator's int8 matrices, loaded for one device, and how they are launched: rows to activations, with
/// or without RmsNorm, the product, the way back into the residual stream, and the router.
/// </summary>
public sealed class DenseKernels : IDisposable
{
    /// <summary>Rows up to which a product reads its weights once, at memory speed.</summary>
    public const int MostStreamed = StreamKernel.MostTokens;

    private const int Warp = 32, RowThreads = 8 * Warp, ExactRows = 8, RouterSums = 4;

    private readonly List<IKernelModule> _modules = [];
    private readonly StreamKernel[] _streams;
    private readonly IKernel _prefill, _exact, _repack, _residualAdd;
    private readonly IKernel _rowsQuantise, _rowsExact, _normQuantise, _normExact, _router;

    /// <param name="device">Where they run.</param>
    /// <exception cref="CudaException">A kernel cannot be compiled or loaded.</exception>
    public DenseKernels(IKernelDevice device)
    {
        var stream = Load(device, "dense_stream.cu");
        _streams = [.. StreamKernel.Tokens.Select(rows => new StreamKernel(stream.Find($"dense_stream_{rows}"), StreamKernel.SharedBytes(WeightFormat.Int8, rows, streams: 1)))];
        _prefill = Load(device, "dense_prefill.cu").Find("dense_prefill");
        _exact = Load(device, "dense_exact.cu").Find("dense_exact");
        var rows = Load(device, "activation_rows.cu");
        (_rowsQuantise, _rowsExact) = (rows.Find("rows_quantise"), rows.Find("rows_exact"));
        (_normQuantise, _normExact) = (rows.Find("rms_norm_quantise"), rows.Find("rms_norm_exact"));
        _residualAdd = Load(device, "residual_add.cu").Find("residual_add");
        _router = Load(device, "router.cu").Find("router");
        _repack = Load(device, "repack.cu").Find("repack_int8");
    }

    /// <summary>Whether there are kernels for matrices in a format.</summary>
    public static bool Supports(WeightFormat format) => format == WeightFormat.Int8;

    /// <summary>Rows as they are to activations.</summary>
    public void Rows(IKernelStream stream, in ActivationRows activations, int rows, bool exact) =>
        stream.Launch(exact ? _rowsExact : _rowsQuantise, new Grid(rows), RowThreads, 0, activations);

    /// <summary>Rows through RmsNorm to activations.</summary>
    public void NormRows(IKernelStream stream, in ActivationRows activations, int rows, bool exact) =>
        stream.Launch(exact ? _normExact : _normQuantise, new Grid(rows), RowThreads, 0, activations);

    /// <summary>The router's choice for every row.</summary>
    public void Route(IKernelStream stream, in RouterRows router, int rows) =>
        stream.Launch(_router, new Grid(rows), Warp, (RouterSums + 1) * router.Experts * sizeof(float), router);

    /// <summary>The product, from float32 activations where it is exact.</summary>
    public void Multiply(IKernelStream stream, in DenseProduct product, bool exact)
    {
        var panels = product.Columns / PanelLayout.Columns;
        if (exact)
            stream.Launch(_exact, new Grid(panels, Parts(product.Rows, ExactRows)), Warp, 0, product);
        else if (product.Rows <= MostStreamed)
        {
            var kernel = _streams[StreamKernel.IndexFor(product.Rows)];
            stream.Launch(kernel.Kernel, new Grid(Parts(2 * panels, StreamKernel.Warps)), StreamKernel.Threads, kernel.Shared, product);
        }
        else
            stream.Launch(
                _prefill, new Grid(Parts(product.Rows, PrefillKernel.Tokens), Parts(panels, PrefillKernel.Panels)), PrefillKernel.Threads, PrefillKernel.SharedBytes(WeightFormat.Int8), product);
    }

    /// <summary>Adds normalised rows to the residual stream.</summary>
    public void AddToResidual(IKernelStream stream, in ResidualAdd add, int rows) => stream.Launch(_residualAdd, new Grid(rows), RowThreads, 0, add);

    /// <summary>Panels of the store's layout to those of device memory.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="repack">What.</param>
    /// <param name="panels">Panels.</param>
    /// <param name="scaleRows">Weight groups whose scales come along.</param>
    public void Repack(IKernelStream stream, in RepackPanels repack, int panels, int scaleRows) =>
        stream.Launch(_repack, new Grid(panels, repack.BlockCount + scaleRows), Warp, 0, repack);

    public void Dispose()
    {
        foreach (var module in _modules)
            module.Dispose();
    }

    private static int Parts(int of, int each) => (of + each - 1) / each;

    private IKernelModule Load(IKernelDevice device, string file)
    {
        var module = device.Load(file);
        _modules.Add(module);
        return module;
    }
}
