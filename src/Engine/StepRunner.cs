using System.Diagnostics;
using System.Runtime.InteropServices;
using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Generation;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;
using Grok1Cluster.Model.Layers;

namespace Grok1Cluster.Engine;

/// <summary>
/// Computes one step and what each of its sequences gets from it: positions, scores of its prompt, chosen tokens. Who is in a step and
/// what becomes of a sequence that ended is the <see cref="InferenceEngine"/>'s. Used by its thread only.
/// </summary>
internal sealed class StepRunner : IDisposable
{
    private readonly Grok1Config _config;
    private readonly ForwardPass _forward;
    private readonly IEngineObserver? _observer;
    private readonly PromptScorer _promptScorer;
    private readonly RoutingCapture _routing;
    private readonly TokenBatch _batch = new();
    private readonly List<int> _logitRows = [];
    private NativeBuffer<float> _logits = new(0);
    private int _nextRow;
    private int _nextLogits;

    /// <param name="config">The model.</param>
    /// <param name="forward">Computes; not disposed.</param>
    /// <param name="observer">Told of each token.</param>
    public StepRunner(Grok1Config config, ForwardPass forward, IEngineObserver? observer)
    {
        (_config, _forward, _observer) = (config, forward, observer);
        _promptScorer = new PromptScorer(config, forward);
        _routing = new RoutingCapture(config);
        forward.Routed += _routing.Add;
    }

    /// <summary>Rows of the last step.</summary>
    public int Rows => _batch.Rows;

    /// <summary>Prompt tokens computed since the start.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Tokens chosen since the start, without those that end a text.</summary>
    public long GeneratedTokens { get; private set; }

    /// <summary>Tokens guessed since the start.</summary>
    public long DraftedTokens { get; private set; }

    /// <summary>Those of them that were chosen.</summary>
    public long AcceptedTokens { get; private set; }

    /// <summary>Computes a step; <see cref="HandOut"/> must follow for each of its sequences.</summary>
    /// <param name="step">Its sequences.</param>
    /// <param name="cancel">Ends a step that waits for workers.</param>
    public void Run(IReadOnlyList<Sequence> step, CancellationToken cancel)
    {
        Assemble(step);
        (_nextRow, _nextLogits) = (0, 0);
        _forward.Run(_batch, CollectionsMarshal.AsSpan(_logitRows), _logits, cancel);
    }

    /// <summary>Gives a sequence what the step computed for it. To be called in the order of the step.</summary>
    /// <returns>Why the sequence ended; null: it goes on.</returns>
    /// <exception cref="NonFiniteLogitException">Nothing can be chosen for this sequence.</exception>
    public FinishReason? HandOut(Sequence sequence)
    {
        PromptTokens += sequence.Generated == 0 ? sequence.Scheduled : 0;
        var (firstRow, firstLogits) = (_nextRow, _nextLogits);
        _nextRow += sequence.Scheduled;
        _nextLogits += sequence.Completes && sequence.Limit > 0 ? 1 + sequence.Drafts : 0;
        if (sequence.FirstUnscored is not null)
            _promptScorer.Score(sequence, firstRow);
        var completes = sequence.Completes;
        Advance(sequence, sequence.Scheduled - sequence.Drafts, firstRow);
        if (!completes)
            return null;
        sequence.FinishPrompt();
        return sequence.Limit == 0 ? FinishReason.Length : Choose(sequence, firstRow + sequence.Scheduled - 1 - sequence.Drafts, firstLogits);
    }

    public void Dispose()
    {
        _forward.Routed -= _routing.Add;
        _promptScorer.Dispose();
        _logits.Dispose();
    }

    private void Assemble(IReadOnlyList<Sequence> step)
    {
        _batch.Clear();
        _logitRows.Clear();
        foreach (var sequence in step)
        {
            _batch.Add(sequence.StepTokens(), sequence.Kv.Length, sequence.Kv.Blocks);
            if (sequence.Completes && sequence.Limit > 0)
                for (var row = _batch.Rows - 1 - sequence.Drafts; row < _batch.Rows; row++)
                    _logitRows.Add(row);
        }
        _routing.Begin(_batch.Rows, step.Any(sequence => sequence.Request.RoutedExperts));
        var length = (long)_logitRows.Count * _config.VocabularySize;
        if (_logits.Length >= length)
            return;
        _logits.Dispose();
        _logits = new NativeBuffer<float>(2 * length);
    }

    /// <summary>Chooses a token, and further ones as long as a guess is what was chosen: then its row has computed the choice after it.</summary>
    private FinishReason? Choose(Sequence sequence, int lastRow, int firstLogits)
    {
        DraftedTokens += sequence.Drafts;
        for (var i = 0; ; i++)
        {
            if (Extend(sequence, Logits(firstLogits + i)) is { } reason)
                return reason;
            if (i == sequence.Drafts || sequence.Tokens[^1] != sequence.DraftAt(i))
                return null;
            AcceptedTokens++;
            Advance(sequence, 1, lastRow + 1 + i);
        }
    }

    private ReadOnlySpan<float> Logits(int index) => _logits.Slice((long)index * _config.VocabularySize, _config.VocabularySize);

    private void Advance(Sequence sequence, int rows, int firstRow)
    {
        if (sequence.Request.RoutedExperts)
            for (var i = 0; i < rows; i++)
                sequence.AddRouted(sequence.Kv.Length + i, _routing.Row(firstRow + i));
        sequence.Kv.Advance(rows, sequence.Tokens);
    }

    /// <summary>Chooses a token.</summary>
    private FinishReason? Extend(Sequence sequence, ReadOnlySpan<float> logits)
    {
        var request = sequence.Request;
        var token = sequence.Sampler.Sample(
            logits, sequence.Tokens[..request.Prompt.Count], sequence.Tokens[request.Prompt.Count..], sequence.Generated < request.MinTokens ? sequence.Enders : []);
        if (token == _config.EosToken && !request.IgnoreEos || request.StopTokens.Contains(token))
            return FinishReason.Stop;
        var now = Stopwatch.GetTimestamp();
        _observer?.TokenGenerated(sequence.Times, now);
        sequence.Append(token, now, request.Logprobs is { } top ? LogProbabilities.Of(logits, token, top) : null);
        GeneratedTokens++;
        return sequence.Generated == sequence.Limit ? FinishReason.Length : null;
    }
}
