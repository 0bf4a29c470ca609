using System.Diagnostics;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Kv;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine.Generation;

/// <summary>Runs one sequence at a time: prefill in chunks, then a token a step. Not for concurrent use.</summary>
public sealed class SequenceRunner : IDisposable
{
    /// <summary>Tokens of a prefill chunk, unless told otherwise.</summary>
    public const int DefaultChunk = 256;

    private readonly Grok1Config _config;
    private readonly ForwardPass _forward;
    private readonly KvBlockPool _pool;
    private readonly int _chunk;
    private readonly TokenBatch _batch = new();
    private readonly SamplingWorkspace _workspace;
    private readonly int[] _allRows;
    private NativeBuffer<float> _logits = new(0);

    /// <param name="config">The model.</param>
    /// <param name="forward">One step; not disposed.</param>
    /// <param name="pool">KV memory; not disposed.</param>
    /// <param name="chunk">Most rows of a step.</param>
    public SequenceRunner(Grok1Config config, ForwardPass forward, KvBlockPool pool, int chunk = DefaultChunk)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(chunk, 1);
        (_config, _forward, _pool, _chunk) = (config, forward, pool, chunk);
        _workspace = new SamplingWorkspace(config.VocabularySize);
        _allRows = [.. Enumerable.Range(0, chunk)];
    }

    /// <summary>Generates, telling of each token as it comes.</summary>
    /// <exception cref="PromptException">The prompt is empty, too long, or has an id outside the vocabulary.</exception>
    public GenerationResult Generate(GenerationRequest request, Action<int>? onToken, CancellationToken cancel)
    {
        CheckTokens(request.Prompt);
        if (request.Prompt.Count >= _config.MaxSequenceLength)
            throw new PromptException($"the prompt has {request.Prompt.Count} tokens, the model takes {_config.MaxSequenceLength} with at least one to generate; shorten it");
        var sampler = new Sampler(request.Sampling, _workspace);
        var history = new List<int>(request.Prompt);
        var generated = new List<int>();
        var limit = Math.Min(request.MaxTokens, _config.MaxSequenceLength - request.Prompt.Count);
        using var kv = new SequenceKv(_pool);
        var reason = FinishReason.Length;
        var clock = Stopwatch.StartNew();
        var prefill = TimeSpan.Zero;
        var pending = history.ToArray();
        while (generated.Count < limit)
        {
            Advance(kv, pending, lastOnly: true, null, cancel);
            var token = sampler.Sample(_logits.Slice(0, _config.VocabularySize), System.Runtime.InteropServices.CollectionsMarshal.AsSpan(history));
            if (generated.Count == 0)
                prefill = clock.Elapsed;
            if (token == _config.EosToken && !request.IgnoreEos)
            {
                reason = FinishReason.Stop;
                break;
            }
            history.Add(token);
            generated.Add(token);
            onToken?.Invoke(token);
            pending = [token];
        }
        return new GenerationResult(generated, reason, prefill, clock.Elapsed - prefill);
    }

    /// <summary>Runs tokens through the model and shows the logits of every position, chunk by chunk.</summary>
    /// <param name="tokens">One sequence from position 0.</param>
    /// <param name="onLogits">(position, [VocabularySize] logits), in order.</param>
    /// <param name="cancel">Ends the run.</param>
    public void Score(IReadOnlyList<int> tokens, LogitsHandler onLogits, CancellationToken cancel)
    {
        CheckTokens(tokens);
        if (tokens.Count > _config.MaxSequenceLength)
            throw new PromptException($"{tokens.Count} tokens exceed the model's longest sequence, {_config.MaxSequenceLength}; shorten them");
        using var kv = new SequenceKv(_pool);
        Advance(kv, tokens.ToArray(), lastOnly: false, onLogits, cancel);
    }

    /// <summary>Receives the logits of a position.</summary>
    public delegate void LogitsHandler(int position, ReadOnlySpan<float> logits);

    public void Dispose() => _logits.Dispose();

    private void Advance(SequenceKv kv, ReadOnlySpan<int> tokens, bool lastOnly, LogitsHandler? onLogits, CancellationToken cancel)
    {
        while (tokens.Length > 0)
        {
            var rows = Math.Min(tokens.Length, _chunk);
            if (!kv.TryReserve(rows))
                throw new ResourceException($"{kv.Length + rows} positions of KV need {KvBlockPool.BlocksFor(kv.Length + rows)} blocks, {_pool.Capacity} fit in the KV memory; raise --kv-memory");
            _batch.Clear();
            _batch.Add(tokens[..rows], kv.Length, kv.Blocks);
            var wanted = lastOnly ? (tokens.Length == rows ? _allRows.AsSpan(rows - 1, 1) : []) : _allRows.AsSpan(0, rows);
            Grow((long)wanted.Length * _config.VocabularySize);
            _forward.Run(_batch, wanted, _logits, cancel);
            for (var i = 0; onLogits is not null && i < rows; i++)
                onLogits(kv.Length + i, _logits.Slice((long)i * _config.VocabularySize, _config.VocabularySize));
            kv.Advance(rows);
            tokens = tokens[rows..];
        }
    }

    private void Grow(long length)
    {
        if (_logits.Length >= length)
            return;
        _logits.Dispose();
        _logits = new NativeBuffer<float>(length);
    }

    private void CheckTokens(IReadOnlyList<int> tokens)
    {
        if (tokens.Count == 0)
            throw new PromptException("there are no tokens to run; give a prompt of at least one");
        for (var i = 0; i < tokens.Count; i++)
            if (tokens[i] < 0 || tokens[i] >= _config.VocabularySize)
                throw new PromptException($"token {i} is {tokens[i]}, outside the vocabulary of {_config.VocabularySize}");
    }
}
