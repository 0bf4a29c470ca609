using Grok1Cluster.Engine.Forward;
using Grok1Cluster.Engine.Sampling;
using Grok1Cluster.Engine.Scheduling;
using Grok1Cluster.Kernels.Memory;
using Grok1Cluster.Model.Config;

namespace Grok1Cluster.Engine.Generation;

/// <summary>
/// Log-probabilities of prompt tokens, from the step that computes them. The head runs over a few rows at a time, so that
/// memory holds the logits of these rows and never those of a whole prompt.
/// </summary>
internal sealed class PromptScorer(Grok1Config config, ForwardPass forward) : IDisposable
{
    /// <summary>Rows of the head at a time: the head's weights are read once for all of them.</summary>
    private const int ChunkRows = 64;

    private readonly int[] _rows = new int[ChunkRows];
    private NativeBuffer<float> _logits = new(0);

    /// <summary>Scores the next prompt tokens of a sequence whose rows are in the batch that ran last.</summary>
    /// <param name="sequence">Its KV length is still that before the step.</param>
    /// <param name="firstRow">Its first row in the batch.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public void Score(Sequence sequence, int firstRow)
    {
        var prompt = sequence.Request.Prompt;
        var start = sequence.Kv.Length;
        var end = Math.Min(start + sequence.Scheduled - sequence.Drafts, prompt.Count - 1);
        // Positions below the first unscored one were scored before a preemption.
        for (var position = Math.Max(start, sequence.FirstUnscored ?? end); position < end;)
        {
            var count = Math.Min(ChunkRows, end - position);
            for (var i = 0; i < count; i++)
                _rows[i] = firstRow + position - start + i;
            Grow((long)count * config.VocabularySize);
            forward.RunHead(_rows.AsSpan(0, count), _logits);
            for (var i = 0; i < count; i++, position++)
                sequence.AddPromptLogprobs(LogProbabilities.Of(
                    _logits.Slice((long)i * config.VocabularySize, config.VocabularySize), prompt[position + 1], sequence.Request.PromptLogprobs!.Value));
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
