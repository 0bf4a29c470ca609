using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.MatMul;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>The head on the CPU: exact from the float32 table itself, fast from its packed copy.</summary>
public sealed unsafe class CpuLogitHead : IDisposable
{
    private readonly Grok1Config _config;
    private readonly DenseWeights _weights;
    private readonly ComputePool _pool;
    private readonly bool _exact;
    private readonly Activations _input;
    private readonly MatrixProduct _packed = new();
    private readonly RowMajorProduct _rowMajor = new();
    private NativeBuffer<float> _normed = new(0);
    private NativeBuffer<float> _padded = new(0);

    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors; not disposed.</param>
    /// <param name="pool">Where the work runs.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    public CpuLogitHead(Grok1Config config, DenseWeights weights, ComputePool pool, bool exact)
    {
        (_config, _weights, _pool) = (config, weights, pool);
        _exact = exact;
        _input = new Activations(weights.Layout.HeadAxis, PanelProduct.ActivationsFor(weights.Layout.Format, _exact));
    }

    /// <param name="residual">[rows, EmbeddingDim] float32.</param>
    /// <param name="rows">Rows that want logits.</param>
    /// <param name="logits">[rows.Length, VocabularySize] float32, overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(NativeBuffer<float> residual, ReadOnlySpan<int> rows, NativeBuffer<float> logits)
    {
        Grow(ref _normed, (long)rows.Length * _config.EmbeddingDim);
        for (var i = 0; i < rows.Length; i++)
            RmsNorm.Apply(
                residual.Slice((long)rows[i] * _config.EmbeddingDim, _config.EmbeddingDim), _weights.Plain(TensorRole.FinalNorm), _config.RmsNormEpsilon,
                _normed.Slice((long)i * _config.EmbeddingDim, _config.EmbeddingDim));
        if (_exact)
            _rowMajor.Run(_pool, _normed.Pointer, rows.Length, _weights.Embedding, _config.VocabularySize, _config.EmbeddingDim, _config.OutputMultiplier, logits.Pointer);
        else
            RunPacked(rows.Length, logits);
    }

    public void Dispose()
    {
        _input.Dispose();
        _packed.Dispose();
        _normed.Dispose();
        _padded.Dispose();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunPacked(int rows, NativeBuffer<float> logits)
    {
        var stride = PanelLayout.PaddedColumns(_config.VocabularySize);
        Grow(ref _padded, (long)rows * stride);
        _input.Resize(rows);
        for (var i = 0; i < rows; i++)
            _input.Set(i, _normed.Slice((long)i * _config.EmbeddingDim, _config.EmbeddingDim));
        _packed.Add(_weights.Packed(TensorRole.Embedding), _padded.Pointer);
        _packed.Run(_pool, _input);
        for (var i = 0; i < rows; i++)
        {
            var source = _padded.Slice((long)i * stride, _config.VocabularySize);
            var target = logits.Slice((long)i * _config.VocabularySize, _config.VocabularySize);
            for (var v = 0; v < target.Length; v++)
                target[v] = source[v] * _config.OutputMultiplier;
        }
    }

    private static void Grow(ref NativeBuffer<float> buffer, long length)
    {
        if (buffer.Length >= length)
            return;
        buffer.Dispose();
        buffer = new NativeBuffer<float>(length);
    }
}
