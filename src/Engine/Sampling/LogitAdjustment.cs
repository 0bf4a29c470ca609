namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// What changes logits before temperature, in vLLM's order: the bias of single tokens; tokens that must not come now;
/// repetition penalty, once for each token of the prompt and of what was generated (CTRL, arXiv 1909.05858); presence and
/// frequency penalty over what was generated (OpenAI's formula). Allocates nothing.
/// </summary>
internal sealed class LogitAdjustment(SamplingOptions options, SamplingWorkspace workspace)
{
    private readonly KeyValuePair<int, float>[] _bias = Checked(options.LogitBias, workspace.VocabularySize);

    /// <summary>Whether any setting changes a logit.</summary>
    public bool Applies => _bias.Length > 0 || Repeats || Counted;

    private bool Repeats => options.RepetitionPenalty != 1;

    private bool Counted => options.PresencePenalty != 0 || options.FrequencyPenalty != 0;

    /// <summary>The changed logits, all finite, in the workspace.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A token is not in the vocabulary.</exception>
    public ReadOnlySpan<float> Apply(ReadOnlySpan<float> logits, ReadOnlySpan<int> prompt, ReadOnlySpan<int> generated, ReadOnlySpan<int> banned)
    {
        // All of it before anything is counted, so that a refusal leaves the counts at 0.
        CheckIds(prompt);
        CheckIds(generated);
        CheckIds(banned);
        var scores = workspace.Scores.AsSpan();
        logits.CopyTo(scores);
        foreach (var (token, bias) in _bias)
            scores[token] = Finite(scores[token] + bias);
        if (Repeats)
        {
            Penalize(scores, prompt);
            Penalize(scores, generated);
            Forget(prompt);
            Forget(generated);
        }
        if (Counted)
        {
            foreach (var token in generated)
                scores[token] = Finite(scores[token] - options.FrequencyPenalty - (workspace.Counts[token]++ == 0 ? options.PresencePenalty : 0));
            Forget(generated);
        }
        foreach (var token in banned)
            scores[token] = float.MinValue;
        return scores;
    }

    private void Penalize(Span<float> scores, ReadOnlySpan<int> tokens)
    {
        foreach (var token in tokens)
            if (workspace.Counts[token]++ == 0)
                scores[token] = Finite(scores[token] > 0 ? scores[token] / options.RepetitionPenalty : scores[token] * options.RepetitionPenalty);
    }

    private void Forget(ReadOnlySpan<int> tokens)
    {
        foreach (var token in tokens)
            workspace.Counts[token] = 0;
    }

    private void CheckIds(ReadOnlySpan<int> tokens)
    {
        foreach (var token in tokens)
            if ((uint)token >= (uint)workspace.VocabularySize)
                throw new ArgumentOutOfRangeException(nameof(tokens), token, $"token id {token} is not in the vocabulary of {workspace.VocabularySize}");
    }

    private static float Finite(float score) => Math.Clamp(score, float.MinValue, float.MaxValue);

    private static KeyValuePair<int, float>[] Checked(IReadOnlyDictionary<int, float> bias, int vocabularySize)
    {
        foreach (var token in bias.Keys)
            if (token >= vocabularySize)
                throw new ArgumentException($"logit bias of token {token}, outside the vocabulary of {vocabularySize}");
        return [.. bias];
    }
}
