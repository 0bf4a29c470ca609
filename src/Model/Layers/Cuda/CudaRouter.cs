using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>From the residual stream to the experts and back, on the device: the norms around them, their input rows, and the router.</summary>
internal sealed class CudaRouter : IDisposable
{
    private readonly Grok1Config _config;
    private readonly DenseKernels _kernels;
    private readonly IDeviceBuffer _tables;
    private readonly (int Before, int After, int Router)[] _layersAt;

    /// <param name="device">The device.</param>
    /// <param name="stream">Copies the weights.</param>
    /// <param name="kernels">Norms and router.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors.</param>
    /// <param name="input">The axis that experts sum over first.</param>
    /// <param name="format">What they take.</param>
    public CudaRouter(IKernelDevice device, IKernelStream stream, DenseKernels kernels, Grok1Config config, DenseWeights weights, ReductionAxis input, ActivationFormat format)
    {
        (_kernels, _config, Format) = (kernels, config, format);
        var table = new DeviceTable();
        Input = new CudaAxis(input, table);
        _layersAt = [.. Enumerable.Range(0, config.LayerCount).Select(layer => (
            table.Add(weights.Plain(TensorRole.PreMoeNorm, layer)), table.Add(weights.Plain(TensorRole.PostMoeNorm, layer)), table.Add(weights.Plain(TensorRole.Router, layer))))];
        _tables = table.Upload(device, stream);
    }

    /// <summary>The axis of the experts' input.</summary>
    public CudaAxis Input { get; }

    public ActivationFormat Format { get; }

    /// <summary>Experts' input and choice for every row.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="residual">[rows, EmbeddingDim].</param>
    /// <param name="rows">Rows.</param>
    /// <param name="target">What is written.</param>
    public void Route(IKernelStream stream, int layer, nint residual, int rows, in RoutedRows target)
    {
        var norm = _tables.Address + _layersAt[layer].Before;
        _kernels.NormRows(stream, new ActivationRows
        {
            X = residual,
            Norm = norm,
            Blocks = Input.Blocks(_tables.Address),
            Values = target.Activations,
            Scales = target.Scales,
            Floats = target.Activations,
            XStride = _config.EmbeddingDim,
            Columns = _config.EmbeddingDim,
            BlockCount = Input.Store.BlockCount,
            Stride = Input.Stride,
            Epsilon = _config.RmsNormEpsilon,
        }, rows, Format == ActivationFormat.Float32);
        _kernels.Route(stream, new RouterRows
        {
            Residual = residual,
            Norm = norm,
            Weights = _tables.Address + _layersAt[layer].Router,
            Chosen = target.Experts,
            Gates = target.Gates,
            Columns = _config.EmbeddingDim,
            Experts = _config.ExpertCount,
            Count = _config.ExpertsPerToken,
            Epsilon = _config.RmsNormEpsilon,
        }, rows);
    }

    /// <summary>Adds the experts' answers to the residual stream.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="layer">Whose.</param>
    /// <param name="sum">[rows, EmbeddingDim].</param>
    /// <param name="residual">[rows, EmbeddingDim].</param>
    /// <param name="rows">Rows.</param>
    public void AddExperts(IKernelStream stream, int layer, nint sum, nint residual, int rows) => _kernels.AddToResidual(stream, new ResidualAdd
    {
        Y = sum,
        Norm = _tables.Address + _layersAt[layer].After,
        Residual = residual,
        YStride = _config.EmbeddingDim,
        Columns = _config.EmbeddingDim,
        Epsilon = _config.RmsNormEpsilon,
    }, rows);

    public void Dispose() => _tables.Dispose();
}

/// <summary>Device addresses of what the router writes.</summary>
/// <param name="Activations">[rows, stride of the experts' input] int8 or float32.</param>
/// <param name="Scales">Factors of the rows (<see cref="Kernels.Cuda.Products.RowFactors"/>); int8 only.</param>
/// <param name="Experts">[rows, ExpertsPerToken] int32.</param>
/// <param name="Gates">[rows, ExpertsPerToken] float32.</param>
internal readonly record struct RoutedRows(nint Activations, nint Scales, nint Experts, nint Gates);
