using Grok1Cluster.Kernels.Cuda.Dense;
using Grok1Cluster.Kernels.Cuda.Devices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers.Cuda;

/// <summary>
/// What attention reads on the device, of every layer: query, key and value side by side as one matrix, the output matrix, the two
/// norms; and the angles of the rotary positions.
/// </summary>
internal sealed class CudaAttentionWeights : IDisposable
{
    private readonly IDeviceBuffer _tables;
    private readonly IDeviceBuffer[] _layers;
    private readonly int _cosinesAt, _sinesAt;
    private readonly (int Before, int After)[] _normsAt;
    private readonly long _outputAt;

    /// <param name="device">The device.</param>
    /// <param name="kernels">Repack.</param>
    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors, in memory.</param>
    /// <exception cref="Kernels.Cuda.CudaException">The device has too little memory.</exception>
    public CudaAttentionWeights(IKernelDevice device, DenseKernels kernels, Grok1Config config, DenseWeights weights)
    {
        var table = new DeviceTable();
        (Input, Output) = (new CudaAxis(weights.Layout.AttentionInputAxis, table), new CudaAxis(weights.Layout.AttentionOutputAxis, table));
        (_cosinesAt, _sinesAt) = AddAngles(table, config);
        _normsAt = [.. Enumerable.Range(0, config.LayerCount).Select(layer => (
            table.Add(weights.Plain(TensorRole.PreAttentionNorm, layer)), table.Add(weights.Plain(TensorRole.PostAttentionNorm, layer))))];
        Key = PanelLayout.PaddedColumns(config.QueryDim);
        Value = Key + PanelLayout.PaddedColumns(config.KeyValueDim);
        InputColumns = Value + PanelLayout.PaddedColumns(config.KeyValueDim);
        OutputColumns = PanelLayout.PaddedColumns(config.EmbeddingDim);
        _outputAt = (long)InputColumns / PanelLayout.Columns * Input.PanelBytes;

        var layerBytes = LayerBytes(weights.Layout, config);
        _layers = new IDeviceBuffer[config.LayerCount];
        using var stream = device.CreateStream();
        _tables = table.Upload(device, stream);
        try
        {
            using var upload = new DenseUpload(device, kernels, Math.Max(Input.PanelBytes, Output.PanelBytes));
            for (var layer = 0; layer < _layers.Length; layer++)
            {
                _layers[layer] = device.Allocate(layerBytes);
                var at = _layers[layer].Address;
                foreach (var role in (TensorRole[])[TensorRole.Query, TensorRole.Key, TensorRole.Value])
                    at = upload.Copy(weights.Packed(role, layer), Input, _tables.Address, at);
                upload.Copy(weights.Packed(TensorRole.AttentionOutput, layer), Output, _tables.Address, at);
            }
            upload.Finish();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The axis of query, key and value.</summary>
    public CudaAxis Input { get; }

    /// <summary>The axis of the output matrix.</summary>
    public CudaAxis Output { get; }

    /// <summary>Columns of query, key and value together, each padded to panels; queries begin at 0.</summary>
    public int InputColumns { get; }

    /// <summary>Column of the first key head.</summary>
    public int Key { get; }

    /// <summary>Column of the first value head.</summary>
    public int Value { get; }

    /// <summary>Columns of the output matrix, padded to panels.</summary>
    public int OutputColumns { get; }

    public nint Tables => _tables.Address;

    public nint Cosines => Tables + _cosinesAt;

    public nint Sines => Tables + _sinesAt;

    /// <summary>Device bytes of the matrices of all layers.</summary>
    public static long Bytes(DenseLayout layout, Grok1Config config) => config.LayerCount * LayerBytes(layout, config);

    public nint InputMatrix(int layer) => _layers[layer].Address;

    public nint OutputMatrix(int layer) => _layers[layer].Address + (nint)_outputAt;

    public nint NormBefore(int layer) => Tables + _normsAt[layer].Before;

    public nint NormAfter(int layer) => Tables + _normsAt[layer].After;

    public void Dispose()
    {
        foreach (var layer in _layers)
            layer?.Dispose();
        _tables.Dispose();
    }

    private static long LayerBytes(DenseLayout layout, Grok1Config config)
    {
        var inputPanels = PanelLayout.PanelCount(config.QueryDim) + 2L * PanelLayout.PanelCount(config.KeyValueDim);
        return inputPanels * CudaAxis.PanelBytesOf(layout.AttentionInputAxis) + (long)PanelLayout.PanelCount(config.EmbeddingDim) * CudaAxis.PanelBytesOf(layout.AttentionOutputAxis);
    }

    private static (int Cosines, int Sines) AddAngles(DeviceTable table, Grok1Config config)
    {
        var rope = new RopeTable(config.HeadDim, config.RopeTheta, config.MaxSequenceLength);
        var half = config.HeadDim / 2;
        var (cosines, sines) = (new float[half * config.MaxSequenceLength], new float[half * config.MaxSequenceLength]);
        for (var position = 0; position < config.MaxSequenceLength; position++)
        {
            rope.Cosines(position).CopyTo(cosines.AsSpan(position * half));
            rope.Sines(position).CopyTo(sines.AsSpan(position * half));
        }
        return (table.Add<float>(cosines), table.Add<float>(sines));
    }
}
