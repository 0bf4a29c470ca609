using Grok1Cluster.Kernels.Formats;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Dispatch;

/// <summary>The tokens of one layer on their way to the experts and back. Reused; grows by doubling.</summary>
public sealed unsafe class ExpertBatch : IDisposable
{
    private readonly Grok1Config _config;
    private NativeBuffer<float> _sum = new(0);
    private int[] _experts = [];
    private float[] _gates = [];

    /// <param name="config">The model.</param>
    /// <param name="input">Receives the activations: over EmbeddingDim, in the format that the experts take.</param>
    /// <param name="slot">Tells batches apart that are away at the same time: 0 to <see cref="MaxSlots"/> - 1.</param>
    public ExpertBatch(Grok1Config config, Activations input, int slot) => (_config, Input, Slot) = (config, input, slot);

    /// <summary>Batches that may be away at the same time.</summary>
    public const int MaxSlots = 4;

    public int Slot { get; }

    /// <summary>Whether every token is the next one of its sequence: somebody waits for it.</summary>
    public bool IsDecode { get; private set; }

    public int Layer { get; private set; }

    public int Rows { get; private set; }

    /// <summary>[Rows] activations over EmbeddingDim, quantised once, sent as they are.</summary>
    public Activations Input { get; }

    public int ExpertsPerToken => _config.ExpertsPerToken;

    /// <summary>[Rows, ExpertsPerToken], best first.</summary>
    public Span<int> Experts => _experts.AsSpan(0, Rows * ExpertsPerToken);

    /// <summary>The same, to keep past the call.</summary>
    public ReadOnlyMemory<int> ExpertsMemory => _experts.AsMemory(0, Rows * ExpertsPerToken);

    /// <summary>[Rows, ExpertsPerToken]: the router's probabilities, not renormalised.</summary>
    public Span<float> Gates => _gates.AsSpan(0, Rows * ExpertsPerToken);

    /// <summary>[Rows, EmbeddingDim] float32: the sum over bundles in plan order.</summary>
    public float* Sum => _sum.Pointer;

    public Span<float> SumRow(int row) => _sum.Slice((long)row * _config.EmbeddingDim, _config.EmbeddingDim);

    /// <summary>Begins a layer: sizes everything and zeroes the sum.</summary>
    public void Begin(int layer, int rows, bool isDecode)
    {
        (Layer, Rows, IsDecode) = (layer, rows, isDecode);
        Input.Resize(rows);
        if (_experts.Length < rows * ExpertsPerToken)
        {
            _experts = new int[2 * rows * ExpertsPerToken];
            _gates = new float[2 * rows * ExpertsPerToken];
        }
        var length = (long)rows * _config.EmbeddingDim;
        if (_sum.Length < length)
        {
            _sum.Dispose();
            _sum = new NativeBuffer<float>(2 * length);
        }
        for (var row = 0; row < rows; row++)
            SumRow(row).Clear();
    }

    public void Dispose()
    {
        Input.Dispose();
        _sum.Dispose();
    }
}
