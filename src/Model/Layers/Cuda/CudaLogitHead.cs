using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Cuda.Products;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// The packed head on a GPU, int8 activations, from rows of residual streams that are there. Logits go back to the host, where tokens are chosen as for every device: penalties, seeds
/// and log probabilities stay in one place, and a row is half a megabyte, some microseconds on its way.
/// </summary>
internal sealed unsafe class CudaLogitHead : IDisposable
{
    /// <summary>Rows of a pass: what bounds the room for logits on the device.</summary>
    private const int PassRows = DenseKernels.MostStreamed;

    private readonly Grok1Config _config;
    private readonly DenseKernels _kernels;
    private readonly CudaAxis _axis;
    private readonly IDeviceBuffer _tables, _matrix;
    private readonly int _normAt, _columns;
    private readonly IKernelStream _stream;
    private readonly StagingBuffer _staging;
    private readonly DeviceScratch _values, _scales;

    /// <summary>Copies the packed embedding table to the device.</summary>
    /// <param name="device">The device; not disposed.</param>
    /// <param name="stream">In which the rows are made; not disposed.</param>
    /// <param name="kernels">Norm and product; not disposed.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors, in memory; int8.</param>
    /// <exception cref="Kernels.Cuda.CudaException">The device has too little memory.</exception>
    public CudaLogitHead(IKernelDevice device, IKernelStream stream, DenseKernels kernels, Grok1Config config, DenseWeights weights)
    {
        (_config, _kernels, _stream) = (config, kernels, stream);
        var table = new DeviceTable();
        _axis = new CudaAxis(weights.Layout.HeadAxis, table);
        _normAt = table.Add(weights.Plain(TensorRole.FinalNorm));
        _columns = PanelLayout.PaddedColumns(config.VocabularySize);
        _tables = table.Upload(device, stream);
        _matrix = device.Allocate(Bytes(weights.Layout, config));
        using (var upload = new DenseUpload(device, _kernels, _axis.PanelBytes))
        {
            upload.Copy(weights.Packed(TensorRole.Embedding), _axis, _tables.Address, _matrix.Address);
            upload.Finish();
        }
        _staging = new StagingBuffer(device);
        (_values, _scales) = (new DeviceScratch(device), new DeviceScratch(device));
    }

    /// <summary>Device bytes of the matrix.</summary>
    public static long Bytes(DenseLayout layout, Grok1Config config) => (long)PanelLayout.PanelCount(config.VocabularySize) * CudaAxis.PanelBytesOf(layout.HeadAxis);

    /// <param name="rows">Rows of this device's streams.</param>
    /// <param name="logits">[rows.Length, VocabularySize] float32, overwritten.</param>
    public void Run(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits)
    {
        for (var first = 0; first < rows.Length; first += PassRows)
            Pass(rows[first..Math.Min(first + PassRows, rows.Length)], logits, first);
    }

    public void Dispose()
    {
        foreach (var owned in (IDisposable[])[_staging, _values, _scales, _matrix, _tables])
            owned.Dispose();
    }

    private void Pass(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits, int firstLogits)
    {
        _staging.Begin();
        var rowsAt = _staging.Reserve<nint>(rows.Length);
        var rowBytes = _staging.Used;
        var logitsAt = _staging.Reserve<float>((long)rows.Length * _columns);
        _staging.Commit();
        _values.Resize((long)rows.Length * _axis.Stride);
        _scales.Resize(RowFactors.Bytes(rows.Length, _axis.Store.BlockCount));
        var addresses = _staging.At<nint>(rowsAt, rows.Length);
        for (var i = 0; i < rows.Length; i++)
            addresses[i] = ((CudaResidualStream)rows[i].Stream).Address(rows[i].Row);

        var y = _staging.Device + (nint)logitsAt;
        var blocks = _axis.Blocks(_tables.Address);
        _stream.CopyToDevice(_staging.Device, _staging.Host, rowBytes);
        _kernels.NormRows(_stream, new ActivationRows
        {
            XRows = _staging.Device + (nint)rowsAt, Norm = _tables.Address + _normAt, Blocks = blocks, Values = _values.Address, Scales = _scales.Address,
            Columns = _config.EmbeddingDim, BlockCount = _axis.Store.BlockCount, Stride = _axis.Stride, Epsilon = _config.RmsNormEpsilon,
        }, rows.Length, exact: false);
        _kernels.Multiply(_stream, new DenseProduct
        {
            Blocks = blocks, Weights = _matrix.Address, Values = _values.Address, Scales = _scales.Address, Y = y,
            BlockCount = _axis.Store.BlockCount, Stride = _axis.Stride, Columns = _columns, Rows = rows.Length, Multiplier = _config.OutputMultiplier,
        }, exact: false);
        _stream.CopyToHost(_staging.Host + (nint)logitsAt, y, (long)rows.Length * _columns * sizeof(float));
        _stream.Synchronize();
        for (var i = 0; i < rows.Length; i++)
            _staging.At<float>(logitsAt + (long)i * _columns * sizeof(float), _config.VocabularySize).CopyTo(logits.Slice((long)(firstLogits + i) * _config.VocabularySize, _config.VocabularySize));
    }
}
