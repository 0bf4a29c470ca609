using System.Security.Cryptography;

namespace Grok1Cluster.Engine.Sampling;

/// <summary>
/// Chooses the tokens of one sequence. In this order (that of Hugging Face's <c>generate</c>; vLLM differs only in
/// where it applies min-p):
/// <list type="number">
/// <item>what <see cref="LogitAdjustment"/> does: bias, banned tokens, penalties;</item>
/// <item>temperature: 0 takes the largest logit, the lowest id of equals, and ends here;</item>
/// <item>top-k; of equal logits the lower ids remain;</item>
/// <item>top-p over the probabilities that remain; the token that reaches the sum is kept;</item>
/// <item>min-p, relative to the most probable token;</item>
/// <item>one draw in proportion to the probabilities that remain.</item>
/// </list>
/// The n-th draw of a sequence uses <see cref="SplitMix64"/> at (seed, n): it does not depend on other sequences.
/// Sampling allocates nothing. Not thread-safe, and neither is the workspace it shares.
/// </summary>
public sealed class Sampler
{
    /// <summary>Gathering fewer candidates than this before dropping some would not save time.</summary>
    private const int MinGathered = 1024;

    private readonly SamplingOptions _options;
    private readonly SamplingWorkspace _workspace;
    private readonly LogitAdjustment _adjustment;
    private readonly ulong _seed;
    private ulong _draws;

    /// <exception cref="ArgumentException">The options are out of range; the message lists all errors.</exception>
    public Sampler(SamplingOptions options, SamplingWorkspace workspace)
    {
        var errors = options.FindErrors();
        if (errors.Count > 0)
            throw new ArgumentException(string.Join("; ", errors), nameof(options));
        _options = options;
        _workspace = workspace;
        _adjustment = new LogitAdjustment(options, workspace);
        Seed = options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        _seed = SplitMix64.At(Seed, 0); // so that neighbouring seeds start far apart
    }

    /// <summary>The seed in use, given or taken at random: with it the same text can be had again.</summary>
    public ulong Seed { get; }

    /// <summary>Chooses the next token.</summary>
    /// <param name="logits">[VocabularySize], not changed.</param>
    /// <param name="prompt">Ids of the prompt; read only with a repetition penalty.</param>
    /// <param name="generated">Ids generated so far; read only with a penalty.</param>
    /// <param name="banned">Ids that must not be chosen now.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    /// <exception cref="ArgumentException">The logits have another length than the vocabulary, or the history an id outside it.</exception>
    public int Sample(ReadOnlySpan<float> logits, ReadOnlySpan<int> prompt, ReadOnlySpan<int> generated, ReadOnlySpan<int> banned)
    {
        if (logits.Length != _workspace.VocabularySize)
            throw new ArgumentException($"{logits.Length} logits for a vocabulary of {_workspace.VocabularySize}", nameof(logits));
        var max = LogitMath.Max(logits);
        var scores = logits;
        if (_adjustment.Applies || banned.Length > 0)
        {
            scores = _adjustment.Apply(logits, prompt, generated, banned);
            max = LogitMath.Max(scores);
        }
        if (_options.Temperature == 0)
            return scores.IndexOf(max);

        var weights = _workspace.Weights.AsSpan();
        var total = LogitMath.Exponentiate(scores, max, _options.Temperature, weights);
        var uniform = SplitMix64.UniformAt(_seed, _draws++);
        return KeepsAll ? DrawFromAll(weights, total, uniform) : DrawFromBest(scores, weights, total, uniform);
    }

    /// <summary>Neither top-k nor top-p: what remains need not be put in order.</summary>
    private bool KeepsAll => _options.TopP >= 1 && (_options.TopK == 0 || _options.TopK >= _workspace.VocabularySize);

    private int DrawFromAll(Span<float> weights, double total, double uniform)
    {
        if (_options.MinP > 0)
        {
            total = 0;
            foreach (ref var weight in weights)
            {
                weight = weight < _options.MinP ? 0 : weight;
                total += weight;
            }
        }
        var target = uniform * total;
        var sum = 0.0;
        var last = 0;
        for (var token = 0; token < weights.Length; token++)
        {
            if (weights[token] == 0)
                continue;
            last = token;
            sum += weights[token];
            if (sum > target)
                break;
        }
        return last; // also if rounding left the sum at or below the target
    }

    private int DrawFromBest(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, double total, double uniform)
    {
        var count = CollectCandidates(scores, weights, total);
        var candidates = new CandidateHeap(_workspace.Keys.AsSpan(0, count));

        var limit = count;
        if (_options.TopK > 0)
        {
            limit = Math.Min(_options.TopK, count);
            total = 0;
            for (var rank = 0; rank < limit; rank++)
                total += weights[candidates.TokenAt(rank)];
        }

        var kept = 0;
        var sum = 0.0;
        while (kept < limit && sum < _options.TopP * total && weights[candidates.TokenAt(kept)] is > 0 and var weight && weight >= _options.MinP)
        {
            sum += weight;
            kept++;
        }

        var target = uniform * sum;
        sum = weights[candidates.TokenAt(0)];
        var drawn = 0;
        while (sum <= target && drawn < kept - 1)
            sum += weights[candidates.TokenAt(++drawn)];
        return candidates.TokenAt(drawn);
    }

    /// <summary>
    /// Writes the keys of few tokens beside those that top-k and top-p keep. For top-k, whenever twice as many have
    /// gathered, all but the k best are dropped, and later ones must be better than these. For top-p alone, tokens below
    /// (1 - p) * total / n are left out: all n of them together could not have the probability that top-p drops.
    /// </summary>
    /// <returns>How many there are.</returns>
    private int CollectCandidates(ReadOnlySpan<float> scores, ReadOnlySpan<float> weights, double total)
    {
        var keys = _workspace.Keys.AsSpan();
        var topK = _options.TopK;
        var leastWeight = topK > 0 ? 0 : (1.0 - _options.TopP) * total / weights.Length;
        var leastScore = float.NegativeInfinity;
        var full = Math.Max(2L * topK, MinGathered);
        var count = 0;
        for (var token = 0; token < scores.Length; token++)
        {
            if (scores[token] <= leastScore || weights[token] < leastWeight)
                continue;
            keys[count++] = CandidateHeap.Key(scores[token], token);
            if (topK == 0 || count < full)
                continue;
            keys[..count].Sort();
            keys[(count - topK)..count].CopyTo(keys);
            count = topK;
            leastScore = scores[CandidateHeap.TokenOf(keys[0])]; // an equal one that comes later has a higher id
        }
        return count;
    }
}
