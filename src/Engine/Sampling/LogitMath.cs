using System.Numerics;
using System.Runtime.InteropServices;

namespace Grok1Cluster.Engine.Sampling;

/// <summary>Maximum, softmax and log-probability over one row of logits, float32 [VocabularySize].</summary>
public static class LogitMath
{
    /// <summary>The token with the largest logit, the lowest of equals.</summary>
    /// <param name="logits">Not empty.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public static int ArgMax(ReadOnlySpan<float> logits) => logits.IndexOf(Max(logits));

    /// <summary>The largest logit.</summary>
    /// <param name="logits">Not empty.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public static float Max(ReadOnlySpan<float> logits)
    {
        var lanes = MemoryMarshal.Cast<float, Vector<float>>(logits);
        var best = new Vector<float>(float.NegativeInfinity);
        var taint = Vector<float>.Zero; // 0 * x is 0 unless x is not finite
        foreach (var x in lanes)
        {
            best = Vector.Max(best, x);
            taint += x * Vector<float>.Zero;
        }
        var max = float.NegativeInfinity;
        for (var lane = 0; lane < Vector<float>.Count; lane++)
            max = Math.Max(max, best[lane]);
        var rest = Vector.Sum(taint);
        foreach (var x in logits[(lanes.Length * Vector<float>.Count)..])
        {
            max = Math.Max(max, x);
            rest += x * 0;
        }
        return rest == 0 ? max : throw FirstNonFinite(logits);
    }

    /// <summary>The logarithm of the sum of e^logit; a logit less this is its token's log-probability. Summed in float64.</summary>
    /// <param name="logits">Not empty.</param>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public static double LogSumExp(ReadOnlySpan<float> logits)
    {
        var logSum = LogSumExpOverMax(logits, out var max);
        return max + logSum;
    }

    /// <summary>-log softmax(logits)[target], in nats.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token.</exception>
    /// <exception cref="NonFiniteLogitException">A logit is NaN or infinite.</exception>
    public static double NegativeLogLikelihood(ReadOnlySpan<float> logits, int target)
    {
        if ((uint)target >= (uint)logits.Length)
            throw new ArgumentOutOfRangeException(nameof(target), target, $"token id {target} is not in the vocabulary of {logits.Length}");
        var logSum = LogSumExpOverMax(logits, out var max);
        return logSum + ((double)max - logits[target]);
    }

    /// <summary>e^((logit - max) / temperature): probabilities but for a factor, 1 for the best token.</summary>
    /// <param name="temperature">Above 0.</param>
    /// <param name="weights">As long as <paramref name="logits"/>, overwritten; may be the same memory.</param>
    /// <returns>The sum of the weights, in float64.</returns>
    internal static double Exponentiate(ReadOnlySpan<float> logits, float max, float temperature, Span<float> weights)
    {
        var lanes = MemoryMarshal.Cast<float, Vector<float>>(logits);
        var weightLanes = MemoryMarshal.Cast<float, Vector<float>>(weights);
        var (wideMax, wideTemperature) = (new Vector<float>(max), new Vector<float>(temperature));
        var sums = Vector<double>.Zero;
        for (var i = 0; i < lanes.Length; i++)
        {
            var weight = Vector.Exp((lanes[i] - wideMax) / wideTemperature);
            weightLanes[i] = weight;
            Vector.Widen(weight, out var low, out var high);
            sums += low + high;
        }
        var sum = Vector.Sum(sums);
        for (var i = lanes.Length * Vector<float>.Count; i < logits.Length; i++)
        {
            weights[i] = MathF.Exp((logits[i] - max) / temperature);
            sum += weights[i];
        }
        return sum;
    }

    /// <summary>log sum e^(logit - max), at least 0: kept apart from the maximum, beside which it could be lost.</summary>
    private static double LogSumExpOverMax(ReadOnlySpan<float> logits, out float max)
    {
        max = Max(logits);
        var lanes = MemoryMarshal.Cast<float, Vector<float>>(logits);
        var wideMax = new Vector<double>(max);
        var sums = Vector<double>.Zero;
        foreach (var x in lanes)
        {
            Vector.Widen(x, out var low, out var high);
            sums += Vector.Exp(low - wideMax) + Vector.Exp(high - wideMax);
        }
        var sum = Vector.Sum(sums);
        foreach (var x in logits[(lanes.Length * Vector<float>.Count)..])
            sum += Math.Exp((double)x - max);
        return Math.Log(sum);
    }

    private static NonFiniteLogitException FirstNonFinite(ReadOnlySpan<float> logits)
    {
        var token = 0;
        while (float.IsFinite(logits[token]))
            token++;
        return new NonFiniteLogitException(token, logits[token], logits.Length);
    }
}
