using Grok1Cluster.Engine.Sampling;

namespace Grok1Cluster.Engine.Tests.Sampling;

public class LogitMathTests
{
    [Fact]
    public void The_negative_log_likelihood_equals_its_definition_at_every_length()
    {
        var random = new Random(4);
        for (var length = 1; length < 70; length++)
        {
            var logits = Enumerable.Range(0, length).Select(_ => (float)(random.NextDouble() * 60 - 30)).ToArray();
            var target = random.Next(length);
            var expected = Math.Log(logits.Sum(logit => Math.Exp(logit))) - logits[target];
            Assert.Equal(expected, LogitMath.NegativeLogLikelihood(logits, target), 1e-12 * Math.Max(1, expected));
        }
    }

    [Fact]
    public void Large_logits_neither_overflow_nor_vanish()
    {
        Assert.Equal(Math.Log(2), LogitMath.NegativeLogLikelihood([1e30f, 1e30f], 0), 1e-12);
        Assert.Equal(2000, LogitMath.NegativeLogLikelihood([-1000, 1000], 0), 1e-12);
        Assert.Equal(Math.Log(131072), LogitMath.LogSumExp(new float[131072]), 1e-12);
        Assert.Equal(-1000 + Math.Log(3), LogitMath.LogSumExp([-1000, -1000, -1000]), 1e-12);
    }

    [Fact]
    public void A_target_outside_the_vocabulary_and_a_logit_that_is_not_finite_are_named()
    {
        foreach (var target in new[] { -1, 3 })
            Assert.Contains($"token id {target} ", Assert.Throws<ArgumentOutOfRangeException>(() => LogitMath.NegativeLogLikelihood(new float[3], target)).Message);
        Assert.Equal(1, Assert.Throws<NonFiniteLogitException>(() => LogitMath.NegativeLogLikelihood([0, float.NaN], 0)).Token);
    }

    [Fact]
    public void SplitMix64_gives_the_numbers_of_its_reference_implementation() => Assert.Equal(
        [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821],
        Enumerable.Range(0, 5).Select(i => SplitMix64.At(1234567, (ulong)i)));
}
