using Grok1Cluster.Engine.Generation;

namespace Grok1Cluster.Engine.Sampling;

/// <summary>Log-probabilities of one row of logits.</summary>
public static class LogProbabilities
{
    /// <summary>Log softmax of the raw logits, float32 from a sum in float64.</summary>
    /// <param name="logits">[VocabularySize].</param>
    /// <param name="token">The token that came.</param>
    /// <param name="top">How many of the likeliest tokens to tell.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public static TokenLogprobs Of(ReadOnlySpan<float> logits, int token, int top)
    {
        var logSum = LogitMath.LogSumExp(logits);
        var best = Likeliest(logits, Math.Min(top, logits.Length));
        return new TokenLogprobs(token, (float)(logits[token] - logSum), [.. best.Select(id => new TokenLogprob(id.Token, (float)(id.Logit - logSum)))]);
    }

    /// <summary>The tokens with the largest logits, by insertion: a logit that is not among them costs one comparison.</summary>
    private static (int Token, float Logit)[] Likeliest(ReadOnlySpan<float> logits, int count)
    {
        var best = new (int Token, float Logit)[count];
        var filled = 0;
        for (var token = 0; token < logits.Length && count > 0; token++)
        {
            var logit = logits[token];
            if (filled == count && logit <= best[^1].Logit)
                continue;
            var place = filled < count ? filled++ : count - 1;
            for (; place > 0 && best[place - 1].Logit < logit; place--)
                best[place] = best[place - 1];
            best[place] = (token, logit);
        }
        return best;
    }
}
