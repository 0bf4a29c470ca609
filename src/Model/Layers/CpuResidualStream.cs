using System.Runtime.CompilerServices;
using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Ops;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Checkpoints;

namespace Grok1Cluster.Model.Layers;

/// <summary>A residual stream in the host's memory; what is not attention is spread over the pool by rows.</summary>
internal sealed unsafe class CpuResidualStream : IResidualStream
{
    private readonly CpuDenseLayers _layers;
    private readonly CpuLayerAttention _attention;
    private readonly DelegateJob _embedJob, _routeJob, _addJob;
    private TokenBatch _batch = null!;
    private int _layer;

    // Of the call under way.
    private Activations _input = null!;
    private int* _experts;
    private float* _gates;
    private float* _sum;

    public CpuResidualStream(CpuDenseLayers layers, CpuLayerAttention attention)
    {
        (_layers, _attention) = (layers, attention);
        (_embedJob, _routeJob, _addJob) = (new DelegateJob(Embed), new DelegateJob(Route), new DelegateJob(Add));
    }

    /// <summary>[rows, EmbeddingDim] float32.</summary>
    public NativeBuffer<float> Residual { get; private set; } = new(0);

    public Span<float> Row(int row) => Residual.Slice((long)row * _layers.Config.EmbeddingDim, _layers.Config.EmbeddingDim);

    public void Begin(TokenBatch batch)
    {
        _batch = batch;
        var length = (long)batch.Rows * _layers.Config.EmbeddingDim;
        if (length > Residual.Length)
        {
            Residual.Dispose();
            Residual = new NativeBuffer<float>(2 * length);
        }
        _layers.Pool.Run(_embedJob, batch.Rows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Forward(int layer, Activations input, Span<int> experts, Span<float> gates)
    {
        _attention.Forward(layer, _batch, Residual);
        (_layer, _input) = (layer, input);
        fixed (int* chosen = experts)
        fixed (float* probabilities = gates)
        {
            _experts = chosen;
            _gates = probabilities;
            _layers.Pool.Run(_routeJob, _batch.Rows);
        }
    }

    public void AddExperts(float* sum)
    {
        _sum = sum;
        _layers.Pool.Run(_addJob, _batch.Rows);
    }

    public void Dispose() => Residual.Dispose();

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Embed(int row)
    {
        var source = _layers.Weights.EmbeddingRow(_batch.Tokens[row]);
        var target = Row(row);
        for (var i = 0; i < target.Length; i++)
            target[i] = source[i] * _layers.Config.EmbeddingMultiplier;
    }

    private void Route(int row)
    {
        var config = _layers.Config;
        var scratch = ThreadScratch.Floats(config.EmbeddingDim + config.ExpertCount);
        var normed = new Span<float>(scratch, config.EmbeddingDim);
        var logits = new Span<float>(scratch + config.EmbeddingDim, config.ExpertCount);
        RmsNorm.Apply(Row(row), _layers.Weights.Plain(TensorRole.PreMoeNorm, _layer), config.RmsNormEpsilon, normed);
        RouterLogits.Compute(normed, _layers.Weights.Plain(TensorRole.Router, _layer), logits);
        var k = config.ExpertsPerToken;
        TopK.Choose(logits, new Span<int>(_experts + (long)row * k, k), new Span<float>(_gates + (long)row * k, k));
        _input.Set(row, normed);
    }

    private void Add(int row) => RmsNorm.AddTo(
        new ReadOnlySpan<float>(_sum + (long)row * _layers.Config.EmbeddingDim, _layers.Config.EmbeddingDim),
        _layers.Weights.Plain(TensorRole.PostMoeNorm, _layer), _layers.Config.RmsNormEpsilon, Row(row));
}
