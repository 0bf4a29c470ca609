using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Generation;

/// <summary>Receives the logits of a position, [VocabularySize].</summary>
public delegate void LogitsHandler(int position, ReadOnlySpan<float> logits);

/// <summary>Runs known tokens through the model, chunk by chunk, and shows the logits of every position. Not for concurrent use.</summary>
public sealed class SequenceScorer : IDisposable
{
    /// <summary>Rows of a chunk, unless told otherwise.</summary>
    public const int DefaultChunk = 256;

    private readonly Grok1Config _config;
    private readonly ForwardPass _forward;
    private readonly KvBlockPool _pool;
    private readonly TokenBatch _batch = new();
    private readonly int[] _rows;
    private NativeBuffer<float> _logits = new(0);

    /// <param name="config">The model.</param>
    /// <param name="forward">One step; not disposed.</param>
    /// <param name="pool">KV memory; not disposed.</param>
    /// <param name="chunk">Most rows of a step.</param>
    public SequenceScorer(Grok1Config config, ForwardPass forward, KvBlockPool pool, int chunk = DefaultChunk)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunk, 1);
        (_config, _forward, _pool) = (config, forward, pool);
        _rows = [.. Enumerable.Range(0, chunk)];
    }

    /// <param name="tokens">One sequence from position 0.</param>
    /// <param name="onLogits">Told of every position, in order.</param>
    /// <param name="cancel">Ends the run.</param>
    /// <exception cref="PromptException">The model cannot take these tokens.</exception>
    /// <exception cref="ResourceException">They do not fit into the KV memory.</exception>
    public void Score(IReadOnlyList<int> tokens, LogitsHandler onLogits, CancellationToken cancel)
    {
        PromptRules.Check(tokens, _config, toGenerate: 0);
        var all = tokens.ToArray();
        using var kv = new SequenceKv(_pool);
        if (!kv.TryReserve(all.Length))
            throw new ResourceException($"{all.Length} positions of KV need {KvBlockPool.BlocksFor(all.Length)} blocks, {_pool.Capacity} fit in the KV memory; raise --kv-memory");
        while (kv.Length < all.Length)
        {
            var rows = Math.Min(all.Length - kv.Length, _rows.Length);
            _batch.Clear();
            _batch.Add(all.AsSpan(kv.Length, rows), kv.Length, kv.Blocks);
            Grow((long)rows * _config.VocabularySize);
            _forward.Run(_batch, _rows.AsSpan(0, rows), _logits, cancel);
            for (var i = 0; i < rows; i++)
                onLogits(kv.Length + i, _logits.Slice((long)i * _config.VocabularySize, _config.VocabularySize));
            kv.Advance(rows, all);
        }
    }

    public void Dispose() => _logits.Dispose();

    private void Grow(long length)
    {
        if (_logits.Length >= length)
            return;
        _logits.Dispose();
        _logits = new NativeBuffer<float>(length);
    }
}
