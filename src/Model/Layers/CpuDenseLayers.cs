using Grok1Cluster.Kernels.KvCache;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Kernels.Threading;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Store;

namespace Grok1Cluster.Model.Layers;

/// <summary>The coordinator's part of the model on the CPU.</summary>
public sealed class CpuDenseLayers : IDenseLayers
{
    private readonly CpuLayerAttention _attention;
    private readonly CpuLogitHead _head;
    private NativeBuffer<float> _gathered = new(0);
    private int[] _gatheredRows = [];

    /// <param name="config">The model.</param>
    /// <param name="weights">The coordinator's tensors; not disposed.</param>
    /// <param name="pool">Where the work runs.</param>
    /// <param name="exact">float32 activations, or int8 activation blocks.</param>
    /// <param name="kvFormat">Element type of the KV cache; null: <see cref="KvBlockLayout.FormatFor"/>.</param>
    public CpuDenseLayers(Grok1Config config, DenseWeights weights, ComputePool pool, bool exact, KvFormat? kvFormat = null)
    {
        (Config, Weights, Pool) = (config, weights, pool);
        _attention = new CpuLayerAttention(config, weights, pool, exact, kvFormat);
        _head = new CpuLogitHead(config, weights, pool, exact);
    }

    public long KvBlockBytes => _attention.KvBlockBytes;

    internal Grok1Config Config { get; }

    internal DenseWeights Weights { get; }

    internal ComputePool Pool { get; }

    public IKvMemory AllocateKv(long bytes) => new HostKvMemory(bytes);

    public IResidualStream CreateStream() => new CpuResidualStream(this, _attention);

    public void Logits(ReadOnlySpan<ResidualRow> rows, NativeBuffer<float> logits)
    {
        Reserve(rows.Length);
        var only = rows.Length == 0 ? null : rows[0].Stream;
        foreach (var row in rows)
            only = row.Stream == only ? only : null;
        if (only is CpuResidualStream stream)
        {
            for (var i = 0; i < rows.Length; i++)
                _gatheredRows[i] = rows[i].Row;
            _head.Run(stream.Residual, _gatheredRows.AsSpan(0, rows.Length), logits);
            return;
        }
        for (var i = 0; i < rows.Length; i++)
        {
            _gatheredRows[i] = i;
            ((CpuResidualStream)rows[i].Stream).Row(rows[i].Row).CopyTo(_gathered.Slice((long)i * Config.EmbeddingDim, Config.EmbeddingDim));
        }
        _head.Run(_gathered, _gatheredRows.AsSpan(0, rows.Length), logits);
    }

    public void Dispose()
    {
        _attention.Dispose();
        _head.Dispose();
        _gathered.Dispose();
    }

    private void Reserve(int rows)
    {
        if (_gatheredRows.Length >= rows)
            return;
        _gatheredRows = new int[2 * rows];
        _gathered.Dispose();
        _gathered = new NativeBuffer<float>((long)_gatheredRows.Length * Config.EmbeddingDim);
    }
}
